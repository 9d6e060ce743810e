"""Kernel distance: unbiased squared maximum mean discrepancy with a polynomial kernel (KID)."""

import numpy as np

from bench.metrics.features import FeatureRows, row_blocks

_BLOCK = 1024


def polynomial_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`(<x, y> / d + 1) ** 3` of rows `[n, d]` and `[m, d]`: `[n, m]` (Binkowski et al. 2018)."""
    base = x @ y.T
    base *= 1 / x.shape[1]
    base += 1.0
    values: np.ndarray = base * base * base  # numpy's power takes five times as long.
    return values


class KernelReference:
    """One side of many kernel distances: keeps the mean of its own kernel values.

    The kernel is `polynomial_kernel`. Features are `[n, d]`, n >= 2; they are read in blocks and
    compared in float64.
    """

    def __init__(self, features: FeatureRows):
        self.features = features
        self._own = self._mean_between_distinct(features)

    def distance(self, other: FeatureRows) -> float:
        """The unbiased estimate over all samples of both sides; near zero it may be negative.

        Args:
            other: `[m, d]`, m >= 2.

        Raises:
            ValueError: dimensions differ, fewer than 2 rows, or values that are not finite.
        """
        if other.shape[1] != self.features.shape[1]:
            raise ValueError(f"dimensions differ: {self.features.shape[1]} and {other.shape[1]}")
        within = self._own + self._mean_between_distinct(other)
        across = sum(
            polynomial_kernel(x, y).sum()
            for x in row_blocks(self.features, _BLOCK)
            for y in row_blocks(other, _BLOCK)
        )
        return float(within - 2 * across / (len(self.features) * len(other)))

    def _mean_between_distinct(self, features: FeatureRows) -> float:
        """Mean kernel value over ordered pairs of two different rows."""
        n = len(features)
        if n < 2:
            raise ValueError(f"a kernel distance needs at least 2 feature vectors, not {n}")
        total = 0.0
        for i, x in enumerate(row_blocks(features, _BLOCK)):
            own = polynomial_kernel(x, x)
            total += own.sum() - np.trace(own)
            total += 2 * sum(
                polynomial_kernel(x, y).sum() for y in row_blocks(features[: i * _BLOCK], _BLOCK)
            )
        return total / (n * (n - 1))
