"""Features of reference images, and the metrics of other features against them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from bench.metrics.extractor import Extractor
from bench.metrics.feature_metrics import FeatureMetrics
from bench.metrics.features import FeatureRows
from bench.metrics.frechet import FrechetReference, gaussian_statistics
from bench.metrics.generative import NEIGHBOURS, SPLITS, inception_score, precision_recall
from bench.metrics.infinite import frechet_infinite, smallest_count
from bench.metrics.kernel.blocks import (
    BlockDistance,
    KernelBlocks,
    is_by_blocks,
    paired,
    pairing,
)
from bench.metrics.kernel.distance import KernelReference
from bench.metrics.kernel.interval import LEVEL, block_size, kernel_interval
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
        features: FeatureRows,
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
        return KernelReference(paired(self.features))

    @cached_property
    def _blocks(self) -> KernelBlocks:
        return KernelBlocks(self.features, subset=self.kid_subset)

    def kernel_distance(self, features: FeatureRows) -> dict[str, float]:
        """The kernel distance of features `[n, d]`, n >= 2, under its name.

        Of many images on both sides it is the mean over blocks of them.
        """
        blocks = self._by_blocks(features)
        found = self._kernel.distance(paired(features)) if blocks is None else blocks.distance
        return {self.metrics.kernel.name: found}

    def kernel_ends(self, features: FeatureRows) -> dict[str, float]:
        """Ends of its interval over images, of as many as both sides have."""
        return self._ends(self._by_blocks(features), features)

    def kernel(self, features: FeatureRows) -> dict[str, float]:
        """Both, of one pass over the features where they are many."""
        blocks = self._by_blocks(features)
        if blocks is None:
            return self.kernel_distance(features) | self._ends(None, features)
        return {self.metrics.kernel.name: blocks.distance, **self._ends(blocks, features)}

    def _by_blocks(self, features: FeatureRows) -> BlockDistance | None:
        """None where there are few images."""
        if is_by_blocks(len(features), len(self.features)):
            return self._blocks.compared(features)
        return None

    def _ends(self, blocks: BlockDistance | None, features: FeatureRows) -> dict[str, float]:
        count, name = min(len(features), len(self.features)), self.metrics.kernel.name
        found = blocks or kernel_interval(
            self.features[:count], features[:count], subset=self.kid_subset
        )
        return {f"{name}_low": found.low, f"{name}_high": found.high}

    def infinite(self, features: FeatureRows) -> dict[str, float]:
        """The Fréchet distance of infinitely many images and its standard error.

        `features [n, d]` are of the reference's own images; there is nothing where they are fewer
        than `smallest_count`.
        """
        if len(features) < smallest_count(features.shape[1]):
            return {}
        found, name = frechet_infinite(self.features, features), self.metrics.frechet.name
        return {f"{name}_infinite": found.intercept, f"{name}_infinite_se": found.standard_error}

    def scores(self, features: FeatureRows) -> dict[str, float]:
        """Inception score, where the network tells classes, precision and recall.

        Raises:
            UserError: the weight file is needed, and missing or another one.
        """
        rows = np.asarray(features)
        logits = self.extractor.class_logits(rows, self.weights)
        values = {} if logits is None else {self.metrics.score: inception_score(logits)}
        precision, recall = precision_recall(rows, np.asarray(self.features))
        return values | {self.metrics.precision: precision, self.metrics.recall: recall}


def estimators(*counts: int, kid_subset: int | None = None, **further: Any) -> dict[str, Any]:
    """How values are estimated from features of sides of so many images: part of the protocol.

    Raises:
        ValueError: the images do not fill two blocks.
    """
    block = block_size(min(counts), kid_subset)
    return {
        **pairing(*counts, block=block),
        "kid_interval": {"images_per_block": block, "level": LEVEL},
        **further,
        "inception_score": {"splits": SPLITS},
        "precision_recall": {"neighbours": NEIGHBOURS},
    }
