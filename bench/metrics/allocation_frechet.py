"""Fréchet distances of many allocations over one bank, in bounded memory."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.metrics.features import ROWS_PER_MAP, row_blocks
from bench.metrics.frechet import FrechetReference, GaussianStatistics


@dataclass(eq=False)
class _Sums:
    """Of an allocation: the sum `[d]` of its features about a centre, that of their outer products
    `[d, d]`, and how many updates led from a sum anew to this one."""

    chosen: np.ndarray
    total: np.ndarray
    products: np.ndarray
    updates: int = 0


class AllocationFrechet:
    """Distances between allocations' features and a reference.

    Sums of the last few allocations are kept; the next one changes those of the nearest by the
    images that differ, unless summing anew costs less. Sums are float64, about the reference's
    mean; after `most_updates` updates they are made anew, so that rounding does not pile up.

    Args:
        open_features: gives the features `[n, M, d]` of n images at M budgets. It is called again
            and again: a memory map that is opened anew keeps no pages of earlier rows.
        reference: the other side of the distances.
        kept: how many allocations' sums, `[d, d]` each, are kept.
        block: rows `[block, d]` of float64 that are held at a time.
    """

    def __init__(
        self,
        open_features: Callable[[], np.ndarray],
        reference: FrechetReference,
        *,
        kept: int = 4,
        block: int = 2048,
        most_updates: int = 200,
    ):
        self._open = open_features
        self._reference = reference
        self._kept, self._block, self._most_updates = kept, block, most_updates
        self._recent: list[_Sums] = []  # the last used comes last

    def distance(self, chosen: np.ndarray) -> float:
        """The Fréchet distance at budgets with the indices `chosen [n]`; see `FrechetReference`.

        Raises:
            ValueError: fewer than two images, or features that are not finite.
        """
        return self._reference.distance(self.statistics(chosen))

    def statistics(self, chosen: np.ndarray) -> GaussianStatistics:
        """Mean and covariance of the features `[n, d]` at the budgets `chosen [n]`.

        Raises:
            ValueError: fewer than two images, or features that are not finite.
        """
        n = len(chosen)
        if n < 2:
            raise ValueError(f"a covariance needs at least 2 feature vectors, not {n}")
        sums = self._sums(chosen)
        shift = sums.total / n
        covariance = (sums.products - n * np.outer(shift, shift)) / (n - 1)
        return GaussianStatistics(self._reference.statistics.mean + shift, covariance, n)

    def _sums(self, chosen: np.ndarray) -> _Sums:
        """Sums of `chosen`, from the nearest allocation's that are kept or anew."""
        near = min(self._recent, key=lambda sums: _differing(sums.chosen, chosen), default=None)
        if near is None or near.updates >= self._most_updates:
            near = None
        elif 2 * _differing(near.chosen, chosen) >= len(chosen):
            near = None  # each change is two rows to add, so all rows anew are fewer
        d = self._reference.statistics.mean.size
        if near is None:
            sums = _Sums(chosen.copy(), np.zeros(d), np.zeros((d, d)))
            self._add(sums, np.arange(len(chosen)), chosen, sign=1)
        else:
            sums = _Sums(chosen.copy(), near.total.copy(), near.products.copy(), near.updates + 1)
            changed = np.flatnonzero(near.chosen != chosen)
            self._add(sums, changed, near.chosen, sign=-1)
            self._add(sums, changed, chosen, sign=1)
        self._recent = [*self._recent, sums][-self._kept :]
        return sums

    def _add(self, sums: _Sums, images: np.ndarray, chosen: np.ndarray, *, sign: int) -> None:
        """Add the features of some images, or take them off."""
        for start in range(0, len(images), self._block):
            rows = images[start : start + self._block]
            (features,) = row_blocks(self._read(rows, chosen[rows]), self._block)
            features -= self._reference.statistics.mean
            sums.total += sign * features.sum(axis=0)
            sums.products += sign * (features.T @ features)

    def _read(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Features `[k, d]` at rows and columns `[k]`, a few hundred from each opening."""
        parts = [slice(at, at + ROWS_PER_MAP) for at in range(0, len(rows), ROWS_PER_MAP)]
        return np.concatenate([self._open()[rows[part], columns[part]] for part in parts])


def _differing(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.count_nonzero(a != b))
