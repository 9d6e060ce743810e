"""Keys and values of the sequences in flight, in blocks of positions from one preallocated pool.

Letters: `S` sequences in flight, `H` heads of `d` channels, `P` blocks of the pool, `U` blocks that
a step reads, `W` blocks of the longest sequence. The blocks in use are the pool's first: one
product over them reads every sequence's own positions, rounded up to the block, and no others'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# `U` is rounded up to a multiple of it, so that few shapes occur.
STRIDE = 4


@dataclass(frozen=True)
class Window:
    """Places that the sequences of one step write and read, the same in every layer.

    `block`, `offset`: where each puts its key and value, `[S]`. `reader`, `nth`: who reads each
    block, and which of the reader's own it is, `[U]`; the reader `S` is nobody. `bias`: 0 at the
    positions that are read and minus infinity past each sequence's last, `[U * H, 1, block size]`.
    `width`: positions of `W` blocks.
    """

    block: Tensor
    offset: Tensor
    reader: Tensor
    nth: Tensor
    bias: Tensor
    width: int


class BlockCache:
    """The pool `[depth, 2, P, H, block, d]` of keys and values, and who has which of its blocks.

    `layers`: views of it, keys and values `[P, H, block, d]` of each layer.
    """

    def __init__(
        self,
        *,
        depth: int,
        slots: int,
        heads: int,
        head_width: int,
        positions: int,
        block: int,
        dtype: torch.dtype,
        device: torch.device,
    ):
        self.block = block
        self.device = device
        most = math.ceil(positions / block)
        pool = round_up(slots * most, STRIDE)
        shape = (depth, 2, pool, heads, block, head_width)
        # Zeros, not whatever memory holds: a hidden position has the weight 0, and 0 * NaN is NaN.
        self.pool = torch.zeros(shape, dtype=dtype, device=device)
        self.layers = [(keys, values) for keys, values in self.pool]
        self.block_bytes = self.pool[:, :, 0].numel() * self.pool.element_size()
        self.used = self.peak = 0
        self._owner = np.zeros(pool, dtype=np.int64)
        self._nth = np.zeros(pool, dtype=np.int64)
        self._blocks: list[list[int]] = [[] for _ in range(slots)]

    def window(self, slots: Sequence[int], positions: Sequence[int]) -> Window:
        """The window of a step in which `slots [S]` stand at `positions [S]`.

        A sequence that enters a new block takes it here. Slots that are left out read nothing.
        """
        places = []
        for slot, position in zip(slots, positions, strict=True):
            number, place = divmod(position, self.block)
            if number == len(self._blocks[slot]):
                self._take(slot)
            places.append((self._blocks[slot][number], place))
        reads = round_up(self.used, STRIDE)
        row = np.full(len(self._blocks), len(slots))
        row[list(slots)] = np.arange(len(slots))
        reader, nth = row[self._owner[:reads]], self._nth[:reads].copy()
        reader[self.used :], nth[self.used :] = len(slots), 0
        block, offset = np.array(places).T
        return Window(
            block=torch.from_numpy(block).to(self.device),
            offset=torch.from_numpy(offset).to(self.device),
            reader=torch.from_numpy(reader).to(self.device),
            nth=torch.from_numpy(nth).to(self.device),
            bias=self._bias(nth, last=np.array([*positions, 0])[reader]),
            width=self.block * max(len(self._blocks[slot]) for slot in slots),
        )

    def _bias(self, nth: np.ndarray, *, last: np.ndarray) -> Tensor:
        """The bias of blocks, each the `nth [U]` of a reader that is at position `last [U]`."""
        places = nth[:, None] * self.block + np.arange(self.block)
        hidden = torch.from_numpy(places > last[:, None]).to(self.device)
        bias = torch.zeros(hidden.shape, dtype=self.pool.dtype, device=self.device)
        heads = self.pool.shape[3]
        return bias.masked_fill_(hidden, -math.inf).repeat_interleave(heads, dim=0)[:, None]

    def release(self, slot: int) -> None:
        """Give back the blocks of `slot`; the last ones in use move into the gaps."""
        for gap in sorted(self._blocks[slot], reverse=True):
            self.used -= 1
            if gap != self.used:
                self._move(self.used, gap)
        self._blocks[slot] = []

    def _take(self, slot: int) -> None:
        self._owner[self.used], self._nth[self.used] = slot, len(self._blocks[slot])
        self._blocks[slot].append(self.used)
        self.used += 1
        self.peak = max(self.peak, self.used)

    def _move(self, source: int, target: int) -> None:
        self.pool[:, :, target] = self.pool[:, :, source]
        owner, nth = self._owner[source], self._nth[source]
        self._owner[target], self._nth[target] = owner, nth
        self._blocks[owner][nth] = target


def round_up(count: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is `count` or more."""
    return -(-count // multiple) * multiple


def attend_blocks(
    queries: Tensor,
    new_keys: Tensor,
    new_values: Tensor,
    *,
    layer: tuple[Tensor, Tensor],
    window: Window,
) -> Tensor:
    """Write the step's keys and values `[S, H, d]`, and read what each query may: `[S, H, d]`.

    `layer`: keys and values `[P, H, block, d]`. Scores are computed block by block, and the softmax
    is that of all blocks of a sequence. Plain products, because for a single query torch's
    fused attention takes five times as long in bf16 on a CPU (and no less in fp32).
    """
    keys, values = layer
    keys[window.block, :, window.offset] = new_keys
    values[window.block, :, window.offset] = new_values
    sequences, heads, width = queries.shape
    reads, block = len(window.reader), keys.shape[2]
    keys, values = keys[:reads].flatten(0, 1), values[:reads].flatten(0, 1)

    # Nobody's blocks are asked what the last sequence asks, and what is read of them is dropped.
    asked = (queries * width**-0.5).index_select(0, window.reader.clamp(max=sequences - 1))
    scores = torch.baddbmm(window.bias, asked.view(-1, 1, width), keys.transpose(1, 2))
    rows = scores.new_full((sequences + 1, heads, window.width), -math.inf)
    by_block = rows.unflatten(-1, (-1, block)).transpose(1, 2)
    by_block[window.reader, window.nth] = scores.view(reads, heads, block)
    weights = rows.softmax(-1).unflatten(-1, (-1, block)).transpose(1, 2)
    weights = weights[window.reader, window.nth]
    read = torch.bmm(weights.reshape(-1, 1, block), values).view(reads, heads, width)
    return read.new_zeros(sequences + 1, heads, width).index_add_(0, window.reader, read)[:-1]
