"""Features of reference images, and the metrics of other features against them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from bench.metrics.extractor import Extractor
from bench.metrics.feature_metrics import FeatureMetrics
from bench.metrics.frechet import FrechetReference, gaussian_statistics
from bench.metrics.generative import NEIGHBOURS, SPLITS, inception_score, precision_recall
from bench.metrics.infinite import frechet_infinite, smallest_count
from bench.metrics.kernel import KernelReference
from bench.metrics.kernel_interval import LEVEL, kernel_interval
from bench.metrics.weight_files import WeightFile


class FeatureReference:
    """One extractor's side of many distances; what it needs of the reference is computed once.

    Args:
        features: `[m, d]` of the reference images.
        extractor: the network they come from.
        metrics: what its metrics are called, of reconstructions or of samples.
        kid_subset: images per block of the kernel distance's interval; a tenth of all where None.
        weights: the weight files, by name, that the features come from.
    """

    def __init__(
        self,
        features: np.ndarray,
        *,
        extractor: Extractor,
        metrics: FeatureMetrics,
        kid_subset: int | None = None,
        weights: Mapping[str, WeightFile] | None = None,
    ):
        self.features, self.extractor, self.metrics = features, extractor, metrics
        self.kid_subset, self.weights = kid_subset, weights or {}

    @cached_property
    def frechet(self) -> FrechetReference:
        """The reference of Fréchet distances."""
        return FrechetReference(gaussian_statistics(self.features))

    @cached_property
    def _kernel(self) -> KernelReference:
        return KernelReference(self.features)

    def kernel_distance(self, features: np.ndarray) -> dict[str, float]:
        """The kernel distance of features `[n, d]`, n >= 2, under its name."""
        return {self.metrics.kernel.name: self._kernel.distance(features)}

    def kernel_ends(self, features: np.ndarray) -> dict[str, float]:
        """Ends of its interval over images, of as many as both sides have."""
        count, name = min(len(features), len(self.features)), self.metrics.kernel.name
        found = kernel_interval(self.features[:count], features[:count], subset=self.kid_subset)
        return {f"{name}_low": found.low, f"{name}_high": found.high}

    def infinite(self, features: np.ndarray) -> dict[str, float]:
        """The Fréchet distance of infinitely many images and its standard error.

        `features [n, d]` are of the reference's own images; there is nothing where they are fewer
        than `smallest_count`.
        """
        if len(features) < smallest_count(features.shape[1]):
            return {}
        found, name = frechet_infinite(self.features, features), self.metrics.frechet.name
        return {f"{name}_infinite": found.intercept, f"{name}_infinite_se": found.standard_error}

    def scores(self, features: np.ndarray) -> dict[str, float]:
        """Inception score, where the network tells classes, precision and recall.

        Raises:
            UserError: the weight file is needed, and missing or another one.
        """
        logits = self.extractor.class_logits(features, self.weights)
        values = {} if logits is None else {self.metrics.score: inception_score(logits)}
        precision, recall = precision_recall(features, self.features)
        return values | {self.metrics.precision: precision, self.metrics.recall: recall}


def estimators(block: int, **further: Any) -> dict[str, Any]:
    """How values are estimated from features, `block` images at a time: part of the protocol."""
    return {
        "kid_interval": {"images_per_block": block, "level": LEVEL},
        **further,
        "inception_score": {"splits": SPLITS},
        "precision_recall": {"neighbours": NEIGHBOURS},
    }
