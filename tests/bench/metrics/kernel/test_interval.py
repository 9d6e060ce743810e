import numpy as np
import pytest

from bench.metrics.kernel.distance import KernelReference
from bench.metrics.kernel.interval import block_size, kernel_interval

SHIFT = 0.5


def paired(n, seed):
    """Features and their reconstructions, `[n, 4]` each: alike, shifted and noisy."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 4))
    return x, 0.9 * x + SHIFT + 0.3 * rng.standard_normal((n, 4))


def independent(n, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 4)), rng.standard_normal((n, 4)) + SHIFT


def test_an_estimate_is_the_mean_over_pairs_of_different_images():
    a, b = paired(4, 0)

    def kernel(x, y):
        return (float(x @ y) / 4 + 1) ** 3

    def estimate(i, j):
        within = kernel(a[i], a[j]) + kernel(b[i], b[j])
        return within - kernel(a[i], b[j]) - kernel(a[j], b[i])

    first, second, third, fourth = np.random.default_rng(5).permutation(4)
    expected = np.mean([estimate(first, second), estimate(third, fourth)])
    assert kernel_interval(a, b, subset=2, seed=5).mean == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("draw", [paired, independent])
def test_the_interval_covers_the_distance_of_the_distributions(draw):
    truth = np.mean([kernel_interval(*draw(2000, 10_000 + seed)).mean for seed in range(60)])
    found = [kernel_interval(*draw(200, seed)) for seed in range(300)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in found])
    # Three standard errors of a share of 0.95 in 300 are 0.038.
    assert 0.90 < covered < 0.99
    assert {interval.blocks for interval in found} == {10}


def test_images_and_their_own_reconstructions_are_no_pairs_of_an_estimate():
    """Else equal images seem nearer than equal distributions are."""
    a, _ = independent(100, 0)
    assert KernelReference(a).distance(a) < -0.01
    assert kernel_interval(a, a).mean == pytest.approx(0, abs=1e-12)


def test_blocks_are_disjoint_random_and_as_large_as_asked():
    a, b = independent(103, 1)
    assert [kernel_interval(a, b, subset=s).blocks for s in (None, 2, 10, 51)] == [10, 51, 10, 2]
    assert kernel_interval(a, b) == kernel_interval(a, b)
    assert kernel_interval(a, b) != kernel_interval(a, b, seed=1)
    # Sorted by class, blocks in the order of the set would each hold one class.
    order = np.argsort(a[:, 0])
    ordered, usual = (
        kernel_interval(a[order], b[order], subset=10),
        kernel_interval(a, b, subset=10),
    )
    assert ordered.high - ordered.low < 3 * (usual.high - usual.low)


@pytest.mark.parametrize(
    ("n", "subset", "size"), [(100, None, 10), (4, None, 2), (25, None, 2), (100, 50, 50)]
)
def test_a_block_is_a_tenth_unless_told_otherwise(n, subset, size):
    assert block_size(n, subset) == size


@pytest.mark.parametrize(("n", "subset"), [(3, None), (99, 50)])
def test_fewer_than_two_blocks_are_refused(n, subset):
    with pytest.raises(ValueError, match=f"{n} images do not fill two blocks of {subset or 2}"):
        kernel_interval(*independent(n, 0), subset=subset)


def test_the_sides_are_of_the_same_images():
    with pytest.raises(ValueError, match="same images"):
        kernel_interval(np.zeros((8, 2)), np.zeros((9, 2)))
