import numpy as np
import pytest

from bench.metrics.features import ChosenFeatures
from bench.metrics.kernel import blocks as kernel_blocks
from bench.metrics.kernel.blocks import KernelBlocks, paired, pairing
from bench.metrics.kernel.distance import KernelReference
from bench.metrics.kernel.interval import block_size, kernel_interval


@pytest.fixture
def sides():
    """Features `[n, 6]` of originals, and `[n, 2, 6]` of two budgets."""
    rng = np.random.default_rng(0)
    originals = rng.normal(size=(230, 6)).astype(np.float32)
    shifts = np.array([0.1, 0.5], np.float32)[:, None]
    noise = rng.normal(size=(230, 2, 6)).astype(np.float32)
    return originals, originals[:, None] + shifts + 0.3 * noise


def test_a_distance_is_the_mean_of_kids_own_on_disjoint_blocks(sides):
    originals, budgets = sides
    reference = KernelBlocks(originals, subset=40)
    blocks = np.random.default_rng(0).permutation(230)[:200].reshape(5, 40)
    for column in (1, 0):  # The second time the reference's own sums are kept.
        other = budgets[:, column]
        expected = [KernelReference(originals[b]).distance(other[b]) for b in blocks]
        found = reference.compared(other)
        assert found.distance == pytest.approx(np.mean(expected), rel=1e-9)
        interval = kernel_interval(originals, other, subset=40)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_features_that_are_read_when_looked_at_give_the_same(sides):
    originals, budgets = sides
    chosen = np.arange(230) % 2
    lazy = ChosenFeatures(lambda: budgets, chosen)
    assert lazy.shape == (230, 6)
    reference = KernelBlocks(originals, subset=40)
    assert reference.compared(lazy) == reference.compared(np.asarray(lazy))
    np.testing.assert_array_equal(lazy, budgets[np.arange(230), chosen])


def test_blocks_do_not_grow_with_the_images():
    assert [block_size(n, None) for n in (5001, 10_000, 50_000)] == [500, 1000, 1000]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((5000, 5000), {}),
        ((5001, 9000), {"kernel_distance": {"images_per_block": 7}}),
        ((2000, 5001), {"kernel_distance": {"images": 5000}}),
    ],
)
def test_the_protocol_says_which_images_are_paired(counts, expected):
    assert pairing(*counts, block=7) == expected


def test_few_images_meet_a_part_of_many(monkeypatch, sides):
    monkeypatch.setattr(kernel_blocks, "MOST_PAIRED", 100)
    some = paired(sides[0])
    assert (len(some), some.shape) == (100, (100, 6))
    assert np.all(np.diff(some.rows) > 0)
    assert paired(sides[0][:100]) is not some


def test_features_of_another_network_or_not_finite_are_refused(sides):
    originals, budgets = sides
    with pytest.raises(ValueError, match="dimensions differ: 6 and 5"):
        KernelBlocks(originals).compared(budgets[:, 0, :5])
    budgets[7, 0, 1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        KernelBlocks(originals, subset=115).compared(budgets[:, 0])
