"""Metrics of generated images: distances of their features from those of other, real images.

They have names of their own. A reconstruction is compared with its own original, a sample with
images it has nothing to do with: the same number means something else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.errors import UserError
from bench.judging.judge import Names
from bench.metrics.frechet import FrechetReference, gaussian_statistics
from bench.metrics.generative import NEIGHBOURS, SPLITS, inception_score, precision_recall
from bench.metrics.inception import inception_logits
from bench.metrics.kernel import KernelReference
from bench.metrics.kernel_interval import LEVEL, block_size, kernel_interval
from bench.metrics.lite import lite_logits

NAMES = {
    "lite0": Names("gfd_lite0", "gkd_lite0", "gis_lite0", "gprecision_lite0", "grecall_lite0"),
    "lite1": Names("gfd_lite1", "gkd_lite1", "gis_lite1", "gprecision_lite1", "grecall_lite1"),
    "inception": Names("gfid", "gkid", "gisc", "gprecision", "grecall"),
}
Features = dict[str, np.ndarray]


class SampleJudge:
    """Distances from a reference: features `[m, d]` of real images by extractor.

    Args:
        reference: the reference sides, computed once.
        kid_subset: images per block of the kernel distance's interval; a tenth of all where None.
        inception_weights: path and SHA-256 of the weight file behind the Inception features.
    """

    def __init__(
        self,
        reference: Features,
        *,
        kid_subset: int | None = None,
        inception_weights: tuple[str, str] | None = None,
    ):
        self.reference = reference
        self.kid_subset = kid_subset
        self.inception_weights = inception_weights
        self._frechet = {
            name: FrechetReference(gaussian_statistics(rows)) for name, rows in reference.items()
        }
        self._kernel = {name: KernelReference(rows) for name, rows in reference.items()}

    def estimators(self, count: int) -> dict[str, Any]:
        """How the values of `count` images are estimated: part of the protocol.

        Raises:
            ValueError: the images do not fill two blocks.
        """
        block = block_size(self._smaller(count), self.kid_subset)
        return {
            "kid_interval": {"images_per_block": block, "level": LEVEL},
            "inception_score": {"splits": SPLITS},
            "precision_recall": {"neighbours": NEIGHBOURS},
        }

    def _smaller(self, count: int) -> int:
        return min(count, *map(len, self.reference.values()))

    def distances(self, features: Features) -> dict[str, float]:
        """Fréchet and kernel distance of features `[n, d]`, n >= 2, by extractor."""
        values = {}
        for name, rows in features.items():
            values[NAMES[name].frechet] = self._frechet[name].distance(gaussian_statistics(rows))
            values[NAMES[name].kernel] = self._kernel[name].distance(rows)
        return values

    def intervals(self, features: Features) -> dict[str, float]:
        """Ends of the kernel distance's interval over images, of as many as both sides have."""
        values = {}
        for name, rows in features.items():
            count = self._smaller(len(rows))
            found = kernel_interval(
                self.reference[name][:count], rows[:count], subset=self.kid_subset
            )
            values[f"{NAMES[name].kernel}_low"] = found.low
            values[f"{NAMES[name].kernel}_high"] = found.high
        return values

    def scores(self, features: Features) -> dict[str, float]:
        """Inception score, precision and recall."""
        values = {}
        for name, rows in features.items():
            names = NAMES[name]
            values[names.score] = inception_score(self._logits(name, rows))
            values[names.precision], values[names.recall] = precision_recall(
                rows, self.reference[name]
            )
        return values

    def _logits(self, name: str, features: np.ndarray) -> np.ndarray:
        if name != "inception":
            return lite_logits(name, features)
        if self.inception_weights is None:
            raise UserError(
                "bank.inception_weights: missing, the inception score needs the last layer; give "
                "the file that the bank's features were made with"
            )
        path, sha256 = self.inception_weights
        return inception_logits(path, features, sha256=sha256)
