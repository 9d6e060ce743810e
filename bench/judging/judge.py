"""Metrics of allocations: what a bank's images come to at the budgets that were chosen for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench.artifacts.bank import PER_BUDGET, Bank
from bench.errors import UserError
from bench.metrics.allocation_frechet import AllocationFrechet
from bench.metrics.frechet import FrechetReference, gaussian_statistics
from bench.metrics.generative import NEIGHBOURS, SPLITS, inception_score, precision_recall
from bench.metrics.inception import inception_logits
from bench.metrics.infinite import SIZES, SMALLEST_SHARE, frechet_infinite, smallest_count
from bench.metrics.kernel import KernelReference
from bench.metrics.kernel_interval import LEVEL, block_size, kernel_interval
from bench.metrics.lite import lite_logits


@dataclass(frozen=True)
class Names:
    """What the metrics of an extractor's features are called."""

    frechet: str
    kernel: str
    score: str
    precision: str
    recall: str


NAMES = {
    "lite0": Names("fd_lite0", "kid_lite0", "is_lite0", "precision_lite0", "recall_lite0"),
    "lite1": Names("fd_lite1", "kid_lite1", "is_lite1", "precision_lite1", "recall_lite1"),
    "inception": Names("rfid", "kid", "isc", "precision", "recall"),
}


class Judge:
    """Metrics of allocations on one bank; the reference sides are computed once.

    Args:
        bank: an evaluation bank.
        kid_subset: images per block of the kernel distance's interval; a tenth of all where None.
        generative: whether `details` hold the inception score, precision and recall.
        inception_weights: the weight file that the bank's Inception features come from.
    """

    def __init__(
        self,
        bank: Bank,
        *,
        kid_subset: int | None = None,
        generative: bool = False,
        inception_weights: str | None = None,
    ):
        self.bank = bank
        self.kid_subset = kid_subset
        self.generative = generative
        self.inception_weights = inception_weights
        self.errors = {
            name: bank.per_budget(name) for name in PER_BUDGET if name in bank.about["arrays"]
        }
        self.originals = {name: bank.array(f"{name}_originals") for name in bank.extractors}
        self.frechet = {
            name: FrechetReference(gaussian_statistics(features))
            for name, features in self.originals.items()
        }
        self.allocations = {
            name: AllocationFrechet(partial(bank.array, name), reference)
            for name, reference in self.frechet.items()
        }
        self.kernel = {name: KernelReference(f) for name, f in self.originals.items()}

    @property
    def estimators(self) -> dict[str, Any]:
        """How intervals, extrapolations and scores are taken from features: part of the protocol.

        Raises:
            ValueError: the bank's images do not fill two blocks.
        """
        block = block_size(self.bank.about["images"]["count"], self.kid_subset)
        return {
            "kid_interval": {"images_per_block": block, "level": LEVEL},
            "infinite": {"subsets": SIZES, "smallest_share": SMALLEST_SHARE},
            "inception_score": {"splits": SPLITS},
            "precision_recall": {"neighbours": NEIGHBOURS},
        }

    def metrics(self, chosen: np.ndarray, *, kernel: bool = True) -> dict[str, float]:
        """Tokens, errors and distances of the allocation `chosen [n]` (columns of the bank).

        The kernel distance costs as much as all else together: controls go without.
        """
        rows = np.arange(len(chosen))
        errors = {name: table[rows, chosen] for name, table in self.errors.items()}
        values = _means(self.bank.tokens(chosen), errors)
        for name, allocations in self.allocations.items():
            values[NAMES[name].frechet] = allocations.distance(chosen)
            if kernel:
                values |= self._kernel(name, self.bank.features(name, chosen))
        return values

    def details(self, features: dict[str, np.ndarray]) -> dict[str, float]:
        """What is told of a cell's own allocation alone.

        The Fréchet distance for infinitely many images and its standard error, where the set is
        large enough to say (`smallest_count`); scores of generated images when asked for.

        Args:
            features: `[n, d]` by the names of the bank's extractors, as `features` gives them.
        """
        values = {}
        for name, rows in features.items():
            reference, names = self.originals[name], NAMES[name]
            if len(rows) >= smallest_count(rows.shape[1]):
                found = frechet_infinite(reference, rows)
                values[f"{names.frechet}_infinite"] = found.intercept
                values[f"{names.frechet}_infinite_se"] = found.standard_error
            if self.generative:
                values[names.score] = inception_score(self._logits(name, rows))
                values[names.precision], values[names.recall] = precision_recall(rows, reference)
        return values

    def features(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """Features `[n, d]` of the allocation `chosen [n]`, by extractor."""
        return {name: self.bank.features(name, chosen) for name in self.bank.extractors}

    def _kernel(self, name: str, features: np.ndarray) -> dict[str, float]:
        own = NAMES[name].kernel
        interval = kernel_interval(self.originals[name], features, subset=self.kid_subset)
        return {
            own: self.kernel[name].distance(features),
            f"{own}_low": interval.low,
            f"{own}_high": interval.high,
        }

    def _logits(self, name: str, features: np.ndarray) -> np.ndarray:
        if name != "inception":
            return lite_logits(name, features)
        if self.inception_weights is None:
            raise UserError(
                "bank.inception_weights: missing, the inception score needs the last layer; give "
                "the file that the bank's features were made with"
            )
        sha256 = self.bank.about["extractors"][name]["weights_sha256"]
        return inception_logits(self.inception_weights, features, sha256=sha256)

    def speed(self, chosen: np.ndarray) -> dict[str, float]:
        """Images per second, from the bank's measurements.

        Decoding is batched by budget: seconds per image are averaged over the chosen budgets.
        """
        measured = self.bank.about["throughput"]
        rates = measured["decode_images_per_second"]
        seconds = np.array([1 / rates[str(budget)]["median"] for budget in self.bank.budgets])
        return {
            "encode_images_per_second": measured["encode_images_per_second"]["median"],
            "decode_images_per_second": float(1 / seconds[chosen].mean()),
        }

    def bits(self, chosen: np.ndarray, candidates: int) -> float:
        """Mean bits per image: the quantizer's bits per token, and `log2 M` to say which budget."""
        per_token = self.bank.about["bits_per_token"]
        return float(self.bank.tokens(chosen).mean() * per_token + math.log2(candidates))


def _means(tokens: np.ndarray, errors: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        "mean_tokens": float(tokens.mean()),
        "min_tokens": int(tokens.min()),
        "max_tokens": int(tokens.max()),
        **{name: float(values.mean(dtype=np.float64)) for name, values in errors.items()},
    }
