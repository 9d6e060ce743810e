"""Metrics of allocations: a bank's images at the budgets that were chosen for them."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.artifacts.bank import Bank
from bench.judging.feature_reference import FeatureReference, estimators
from bench.metrics.allocation_frechet import AllocationFrechet
from bench.metrics.extractors import EXTRACTORS, Extractor
from bench.metrics.features import FeatureRows
from bench.metrics.infinite import SIZES, SMALLEST_SHARE
from bench.metrics.weight_files import WeightFile


class Judge:
    """Metrics of allocations on one bank; its reference sides are computed once in a process.

    Args:
        bank: an evaluation bank.
        kid_subset: images per block of the kernel distance's interval; a tenth of all where None.
        generative: whether `details` hold the inception score, precision and recall.
        weights: the weight files, by name, that the bank's features come from.
    """

    def __init__(
        self,
        bank: Bank,
        *,
        kid_subset: int | None = None,
        generative: bool = False,
        weights: Mapping[str, WeightFile] | None = None,
    ):
        self.bank = bank
        self.kid_subset = kid_subset
        self.generative = generative
        self.errors = {name: bank.per_budget(name) for name in bank.measured}
        files = tuple(sorted((weights or {}).items()))
        self.references = {
            name: _reference(
                bank.path / f"{name}_originals.npy",
                os.stat(bank.path / f"{name}_originals.npy").st_mtime_ns,
                EXTRACTORS[name],
                kid_subset,
                files,
            )
            for name in bank.extractors
        }
        self.allocations = {
            name: AllocationFrechet(partial(bank.array, name), reference.frechet)
            for name, reference in self.references.items()
        }

    @property
    def estimators(self) -> dict[str, Any]:
        """How intervals, extrapolations and scores are taken from features: part of the protocol.

        Raises:
            ValueError: the bank's images do not fill two blocks.
        """
        return estimators(
            self.bank.about["images"]["count"],
            kid_subset=self.kid_subset,
            infinite={"subsets": SIZES, "smallest_share": SMALLEST_SHARE},
        )

    def metrics(self, chosen: np.ndarray, *, kernel: bool = True) -> dict[str, float]:
        """Tokens, errors and distances of the allocation `chosen [n]` (columns of the bank).

        The kernel distance costs as much as all else together: controls go without.
        """
        rows = np.arange(len(chosen))
        errors = {name: table[rows, chosen] for name, table in self.errors.items()}
        values = _means(self.bank.tokens(chosen), errors)
        for name, reference in self.references.items():
            values[reference.metrics.frechet.name] = self.allocations[name].distance(chosen)
            if kernel:
                values |= reference.kernel(self.bank.features(name, chosen))
        return values

    def details(self, features: dict[str, FeatureRows]) -> dict[str, float]:
        """Metrics that a cell's own allocation alone has.

        The Fréchet distance for infinitely many images and its standard error, where the set is
        large enough to say (`smallest_count`); scores of generated images when asked for.

        Args:
            features: `[n, d]` by the names of the bank's extractors, as `features` gives them.
        """
        values: dict[str, float] = {}
        for name, rows in features.items():
            values |= self.references[name].infinite(rows)
            if self.generative:
                values |= self.references[name].scores(rows)
        return values

    def features(self, chosen: np.ndarray) -> dict[str, FeatureRows]:
        """Features `[n, d]` of the allocation `chosen [n]`, by extractor, read when looked at."""
        return {name: self.bank.features(name, chosen) for name in self.bank.extractors}

    def speed(self, chosen: np.ndarray) -> dict[str, float]:
        """Images per second, from the bank's measurements, if there are any.

        Decoding is batched by budget: seconds per image are averaged over the chosen budgets.
        """
        measured = self.bank.about["throughput"]
        if measured is None:
            return {}
        rates = measured["decode_images_per_second"]
        seconds = np.array([1 / rates[str(budget)]["median"] for budget in self.bank.budgets])
        return {
            "encode_images_per_second": measured["encode_images_per_second"]["median"],
            "decode_images_per_second": float(1 / seconds[chosen].mean()),
        }

    def bits(self, chosen: np.ndarray, candidates: int) -> dict[str, float]:
        """Mean bits per image: the quantizer's bits per token, and `log2 M` to say which budget.

        Nothing where the bits of a token are not known.
        """
        per_token = self.bank.about["bits_per_token"]
        if per_token is None:
            return {}
        return {"bits": float(self.bank.tokens(chosen).mean() * per_token + math.log2(candidates))}


@functools.lru_cache(maxsize=4)  # A process judges many allocations on one bank.
def _reference(
    originals: Path,
    written: int,
    extractor: Extractor,
    kid_subset: int | None,
    weights: tuple[tuple[str, WeightFile], ...],
) -> FeatureReference:
    """The reference side of a bank, whose file of originals was `written` at that time."""
    return FeatureReference(
        np.load(originals, mmap_mode="r", allow_pickle=False),
        extractor=extractor,
        metrics=extractor.feature_metrics(),
        kid_subset=kid_subset,
        weights=dict(weights),
    )


def _means(tokens: np.ndarray, errors: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        "mean_tokens": float(tokens.mean()),
        "min_tokens": int(tokens.min()),
        "max_tokens": int(tokens.max()),
        **{name: float(values.mean(dtype=np.float64)) for name, values in errors.items()},
    }
