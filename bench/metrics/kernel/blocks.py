"""Kernel distances of many images: estimates on disjoint blocks, in time that grows as n does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.metrics.features import FeatureRows, TakenRows, row_blocks
from bench.metrics.kernel.interval import LEVEL, block_size
from bench.statistics.intervals import student_interval

# All images are paired with all others up to so many, as that takes n^2 d.
MOST_PAIRED = 5000


@dataclass(frozen=True)
class BlockDistance:
    """The distance, and the two-sided confidence interval over images."""

    distance: float
    low: float
    high: float


def is_by_blocks(*counts: int) -> bool:
    """Whether distances between sides of so many images are estimated on blocks."""
    return min(counts) > MOST_PAIRED


def paired(features: FeatureRows) -> FeatureRows:
    """Those of a side, at random, that are paired with all of a smaller one."""
    count = len(features)
    if count <= MOST_PAIRED:
        return features
    rows = np.random.default_rng(0).choice(count, MOST_PAIRED, replace=False)
    return TakenRows(features, np.sort(rows))


def pairing(*counts: int, block: int) -> dict[str, Any]:
    """How distances of sides of so many images are taken, where not of all pairs."""
    if is_by_blocks(*counts):
        return {"kernel_distance": {"images_per_block": block}}
    return {"kernel_distance": {"images": MOST_PAIRED}} if max(counts) > MOST_PAIRED else {}


class KernelBlocks:
    """One side `[n, d]` of many kernel distances on blocks of images; its own sums are kept.

    The distance is the mean over blocks of the unbiased estimate over all samples of a block, as
    KID takes it over subsets (Binkowski et al. 2018). The interval is that of `kernel_interval`,
    whose estimates leave out the kernel between an image and its own reconstruction.

    Args:
        features: read block by block.
        subset: images per block; see `block_size`.
        seed: draws the blocks.
    """

    def __init__(self, features: FeatureRows, *, subset: int | None = None, seed: int = 0):
        self.features, self.subset, self.seed = features, subset, seed
        self._own: dict[int, list[tuple[float, float]]] = {}

    def compared(self, other: FeatureRows) -> BlockDistance:
        """Distance and interval of `other [m, d]`; of the first images where one side has more.

        Raises:
            ValueError: dimensions differ, the images do not fill two blocks, or values are not
                finite.
        """
        if other.shape[1] != self.features.shape[1]:
            raise ValueError(f"dimensions differ: {self.features.shape[1]} and {other.shape[1]}")
        count = min(len(self.features), len(other))
        size = block_size(count, self.subset)
        order = np.random.default_rng(self.seed).permutation(count)
        blocks = order[: count // size * size].reshape(-1, size)
        own = self._own.setdefault(count, [])
        distances, estimates = [], []
        for number, rows in enumerate(blocks):
            (x,) = row_blocks(TakenRows(self.features, rows), size)
            (y,) = row_blocks(TakenRows(other, rows), size)
            if number == len(own):
                own.append(_sums(x, x))
            within, across = zip(own[number], _sums(y, y), strict=True), _sums(x, y)
            (all_within, diagonal_within) = (sum(parts) for parts in within)
            pairs = size * (size - 1)
            mean_within = (all_within - diagonal_within) / pairs
            distances.append(mean_within - 2 * across[0] / size**2)
            estimates.append(mean_within - 2 * (across[0] - across[1]) / pairs)
        interval = student_interval(estimates, level=LEVEL)
        return BlockDistance(float(np.mean(distances)), interval.low, interval.high)


def _sums(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Sum of `polynomial_kernel` over all pairs of rows `[b, d]`, and over those of equal number.

    Without a power, which takes longer than the products of small dimensions.
    """
    base = x @ y.T
    base *= 1 / x.shape[1]
    base += 1.0
    diagonal = np.diagonal(base)
    return float(np.vdot(base * base, base)), float((diagonal * diagonal * diagonal).sum())
