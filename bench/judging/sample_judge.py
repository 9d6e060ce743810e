"""Metrics of generated images: distances of their features from those of other, real images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bench.judging.feature_reference import FeatureReference, estimators
from bench.metrics.extractors import EXTRACTORS
from bench.metrics.frechet import gaussian_statistics
from bench.metrics.weight_files import WeightFile

Features = dict[str, np.ndarray]


class SampleJudge:
    """Distances from a reference: features `[m, d]` of real images by extractor.

    Args:
        reference: the reference sides, computed once.
        kid_subset: images per block of the kernel distance's interval; a tenth of all where None.
        weights: the weight files, by name, that the features come from.
    """

    def __init__(
        self,
        reference: Features,
        *,
        kid_subset: int | None = None,
        weights: Mapping[str, WeightFile] | None = None,
    ):
        self.reference = reference
        self.kid_subset = kid_subset
        self._sides = {
            name: FeatureReference(
                rows,
                extractor=EXTRACTORS[name],
                metrics=EXTRACTORS[name].feature_metrics(samples=True),
                kid_subset=kid_subset,
                weights=weights,
            )
            for name, rows in reference.items()
        }

    def estimators(self, count: int) -> dict[str, Any]:
        """How the values of `count` images are estimated: part of the protocol.

        Raises:
            ValueError: the images do not fill two blocks.
        """
        return estimators(count, *map(len, self.reference.values()), kid_subset=self.kid_subset)

    def distances(self, features: Features) -> dict[str, float]:
        """Fréchet and kernel distance of features `[n, d]`, n >= 2, by extractor."""
        values: dict[str, float] = {}
        for name, rows in features.items():
            side = self._sides[name]
            values[side.metrics.frechet.name] = side.frechet.distance(gaussian_statistics(rows))
            values |= side.kernel_distance(rows)
        return values

    def intervals(self, features: Features) -> dict[str, float]:
        """Ends of the kernel distance's interval over images, of as many as both sides have."""
        return _joined(self._sides[name].kernel_ends(rows) for name, rows in features.items())

    def scores(self, features: Features) -> dict[str, float]:
        """Inception score, precision and recall."""
        return _joined(self._sides[name].scores(rows) for name, rows in features.items())


def _joined(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    return {name: value for part in parts for name, value in part.items()}
