import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from adatok_core.generator.cache import STRIDE, BlockCache, attend_blocks, round_up

HEADS, WIDTH, DEPTH, SLOTS, POSITIONS = 2, 4, 2, 3, 7
CPU = torch.device("cpu")


def cache_of(block, dtype=torch.float32):
    return BlockCache(
        depth=DEPTH,
        slots=SLOTS,
        heads=HEADS,
        head_width=WIDTH,
        positions=POSITIONS,
        block=block,
        dtype=dtype,
        device=CPU,
    )


class Rows:
    """The same as the cache, plainly: all keys and values of each sequence in a list."""

    def __init__(self):
        self.kept = {}

    def attend(self, layer, slots, queries, keys, values):
        read = []
        for slot, query, key, value in zip(slots, queries, keys, values, strict=True):
            kept = self.kept.setdefault((slot, layer), [])
            kept.append((key, value))
            k, v = (torch.stack(x, dim=1) for x in zip(*kept, strict=True))
            read.append(F.scaled_dot_product_attention(query[:, None], k, v)[:, 0])
        return torch.stack(read)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    block=st.sampled_from([1, 2, 3, 32]),
    lengths=st.lists(st.integers(1, POSITIONS), min_size=1, max_size=9),
    seed=st.integers(0, 9),
)
def test_every_sequence_reads_its_own_positions_whoever_had_the_slot_before(block, lengths, seed):
    """Sequences of `lengths` through the slots, refilled; released blocks keep what was in them."""
    torch.manual_seed(seed)
    cache, rows, waiting, flying = cache_of(block), Rows(), list(lengths), {}
    while waiting or flying:
        for slot in range(SLOTS):
            if slot not in flying and waiting:
                flying[slot] = (0, waiting.pop())
        slots = list(flying)
        window = cache.window(slots, [flying[slot][0] for slot in slots])
        for index, layer in enumerate(cache.layers):
            made = torch.randn(3, len(slots), HEADS, WIDTH)
            read = attend_blocks(*made, layer=layer, window=window)
            expected = rows.attend(index, slots, *made)
            torch.testing.assert_close(read, expected, atol=1e-5, rtol=1e-5)
        for slot in slots:
            position, length = flying[slot]
            flying[slot] = (position + 1, length)
            if position + 1 == length:
                cache.release(slot)
                del flying[slot], rows.kept[slot, 0], rows.kept[slot, 1]
    assert cache.used == 0


def test_a_step_reads_the_blocks_of_each_sequence_and_no_more():
    cache = cache_of(2)
    for position in range(5):
        cache.window([0], [position])
    cache.window([1], [0])
    window = cache.window([0, 1], [5, 2])
    # Three blocks of the first sequence, two of the second; the rest pads the window to its stride.
    rest = [0] * (round_up(5, STRIDE) - 5)
    assert window.reader.tolist() == [0, 0, 0, 1, 1, *(2 for _ in rest)]
    assert window.nth.tolist() == [0, 1, 2, 0, 1, *rest]
    assert window.block.tolist() == [2, 4]
    assert window.offset.tolist() == [1, 0]
    assert window.width == 6
    read = window.bias.view(-1, HEADS, 2)
    assert read[:5, 0].tolist() == read[:5, 1].tolist()
    assert read[:5, 0].tolist() == [[0, 0], [0, 0], [0, 0], [0, 0], [0, -math.inf]]


def test_released_blocks_are_filled_from_the_end():
    cache = cache_of(1)
    for position in range(3):
        cache.window([0, 1], [position, position])
    keys, _ = cache.layers[1]
    keys[:6] = torch.arange(6.0)[:, None, None, None]
    cache.release(0)
    # The second sequence had blocks 1, 3 and 5: two of them moved to where the first one's were.
    window = cache.window([1], [2])
    order = window.nth[:3].argsort()
    assert window.reader[:3].tolist() == [0, 0, 0]
    assert keys[:3, 0, 0, 0][order].tolist() == [1, 3, 5]
    assert (cache.used, cache.peak) == (3, 6)


def test_what_lies_in_free_blocks_does_not_matter():
    cache = cache_of(4)
    made = torch.randn(3, 1, HEADS, WIDTH, generator=torch.Generator().manual_seed(0))
    for keys, values in cache.layers:
        keys.fill_(1e4)
        values.fill_(1e4)
    read = attend_blocks(*made, layer=cache.layers[0], window=cache.window([1], [0]))
    torch.testing.assert_close(read, made[2])


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_a_block_takes_keys_and_values_of_all_layers(dtype, size):
    cache = cache_of(2, dtype)
    assert cache.block_bytes == 2 * DEPTH * HEADS * 2 * WIDTH * size
    pool = round_up(SLOTS * 4, STRIDE)
    assert cache.pool.nbytes == pool * cache.block_bytes
