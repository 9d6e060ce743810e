"""Fréchet distance between Gaussians fitted to feature vectors (the F in FID and FD)."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from bench.metrics.features import FeatureRows, row_blocks


@dataclass(frozen=True)
class GaussianStatistics:
    """Mean `[d]` and covariance `[d, d]` (over count - 1), float64, and the number of samples."""

    mean: np.ndarray
    covariance: np.ndarray
    count: int


def gaussian_statistics(features: FeatureRows, *, block: int = 4096) -> GaussianStatistics:
    """Mean and covariance of features `[n, d]`, read in blocks of rows and summed in float64.

    With n <= d the covariance is singular; `count` tells.

    Raises:
        ValueError: fewer than two rows, or values that are not finite.
    """
    n, d = features.shape
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 feature vectors, not {n}")
    # Sums are taken about the first block's mean, or they would cancel where mean >> deviation.
    centre = next(row_blocks(features, block)).mean(axis=0)
    total, products = np.zeros(d), np.zeros((d, d))
    for rows in row_blocks(features, block):
        rows -= centre
        total += rows.sum(axis=0)
        products += rows.T @ rows
    shift = total / n
    covariance = (products - n * np.outer(shift, shift)) / (n - 1)
    return GaussianStatistics(mean=centre + shift, covariance=covariance, count=n)


class FrechetReference:
    """One side of many Fréchet distances: keeps a triangular root of its covariance.

    Each `distance` then costs one symmetric eigenvalue problem.
    """

    def __init__(self, statistics: GaussianStatistics):
        self.statistics = statistics
        values, vectors = np.linalg.eigh(statistics.covariance)
        # C = R^T R with R triangular: products with it cost a third of those with C^1/2. A
        # Cholesky factor would do where C is not singular.
        scaled = (vectors * np.sqrt(values.clip(min=0))).T
        # numpy's types know one result for all modes.
        triangle: np.ndarray = np.linalg.qr(scaled, mode="r")  # type: ignore[assignment]
        self._lower = np.asfortranarray(triangle.T)

    def distance(self, other: GaussianStatistics) -> float:
        """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2), the squared 2-Wasserstein distance.

        Dowson & Landau 1982; Heusel et al. 2017. Rounding can leave it slightly below zero.

        Raises:
            ValueError: the dimensions differ.
        """
        own = self.statistics
        if own.mean.shape != other.mean.shape:
            raise ValueError(f"dimensions differ: {own.mean.size} and {other.mean.size}")
        # The eigenvalues of C1^1/2 C2 C1^1/2 are those of R C2 R^T, which this leaves in the lower
        # triangle. The symmetric covariance goes in transposed, in Fortran's order.
        product, _ = lapack.dsygst(other.covariance.T, self._lower, itype=2, lower=1)
        eigenvalues = np.linalg.eigvalsh(product, UPLO="L")
        # A covariance of n samples has rank n - 1 at most: the other eigenvalues are rounding, and
        # their roots are not small.
        rank = min(own.count, other.count) - 1
        roots = np.sqrt(eigenvalues[-rank:].clip(min=0))
        difference = own.mean - other.mean
        spread = np.trace(own.covariance) + np.trace(other.covariance)
        return float(difference @ difference + spread - 2 * roots.sum())


def frechet_distance(a: GaussianStatistics, b: GaussianStatistics) -> float:
    """The Fréchet distance of two Gaussians; see `FrechetReference.distance`."""
    return FrechetReference(a).distance(b)
