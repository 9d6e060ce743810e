"""A confidence interval of the kernel distance, from estimates on disjoint blocks of images."""

from dataclasses import dataclass

import numpy as np

from bench.metrics.kernel.distance import polynomial_kernel
from bench.statistics.intervals import student_interval

LEVEL = 0.95
# As the field takes for KID; without it, time would grow as the square of the images.
LARGEST_BLOCK = 1000


@dataclass(frozen=True)
class KernelInterval:
    """Mean of the blocks' estimates, and its two-sided confidence interval over images."""

    mean: float
    low: float
    high: float
    blocks: int


def block_size(n: int, subset: int | None) -> int:
    """Images per block: `subset`, or where it is None a tenth of the n images, 2 to 1,000.

    Raises:
        ValueError: the images do not fill two blocks.
    """
    size = min(max(2, n // 10), LARGEST_BLOCK) if subset is None else subset
    if n < 2 * size:
        raise ValueError(f"{n} images do not fill two blocks of {size}")
    return size


def kernel_interval(
    a: np.ndarray, b: np.ndarray, *, subset: int | None = None, seed: int = 0
) -> KernelInterval:
    """Interval of the squared maximum mean discrepancy of paired features `[n, d]`, both sides.

    Images are drawn into blocks at random, without replacement; what does not fill one is left out.
    Each block gives an unbiased estimate, and Student's t goes over blocks.

    An image and its own reconstruction are alike, so the kernel between them is no sample of the
    kernel between the distributions: estimates leave such pairs out (Gretton et al. 2012, eq. 4).
    The distance over all samples keeps them, as KID does, and may lie below this interval.

    Raises:
        ValueError: the sides differ in shape, the images do not fill two blocks, or values are not
            finite.
    """
    if a.shape != b.shape:
        raise ValueError(f"expected features of the same images, not {a.shape} and {b.shape}")
    size = block_size(len(a), subset)
    order = np.random.default_rng(seed).permutation(len(a))
    blocks = order[: len(a) // size * size].reshape(-1, size)
    found = student_interval([_estimate(a[rows], b[rows]) for rows in blocks], level=LEVEL)
    return KernelInterval(found.mean, found.low, found.high, found.n)


def _estimate(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over pairs of different images i, j of k(a_i, a_j) + k(b_i, b_j) - 2 k(a_i, b_j)."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    kernels = polynomial_kernel(x, x) + polynomial_kernel(y, y) - 2 * polynomial_kernel(x, y)
    return float((kernels.sum() - np.trace(kernels)) / (len(x) * (len(x) - 1)))
