"""Metrics of allocations: what a bank's images come to at the budgets that were chosen for them."""

from __future__ import annotations

import math

import numpy as np

from bench.bank import PER_BUDGET, Bank
from bench.metrics.frechet import FrechetReference, gaussian_statistics
from bench.metrics.kernel import KernelReference

FRECHET_NAMES = {"lite0": "fd_lite0", "inception": "rfid"}
KERNEL_NAMES = {"lite0": "kid_lite0", "inception": "kid"}


class Judge:
    """Metrics of allocations on one bank; the reference sides are computed once."""

    def __init__(self, bank: Bank):
        self.bank = bank
        self.errors = {
            name: bank.per_budget(name) for name in PER_BUDGET if name in bank.about["arrays"]
        }
        originals = {name: bank.array(f"{name}_originals") for name in bank.extractors}
        self.frechet = {n: FrechetReference(gaussian_statistics(f)) for n, f in originals.items()}
        self.kernel = {name: KernelReference(features) for name, features in originals.items()}

    def metrics(self, chosen: np.ndarray, *, kernel: bool = True) -> dict[str, float]:
        """Tokens, errors and distances of the allocation `chosen [n]` (columns of the bank).

        The kernel distance costs as much as all else together: controls go without.
        """
        tokens = self.bank.tokens(chosen)
        rows = np.arange(len(chosen))
        values = {
            "mean_tokens": float(tokens.mean()),
            "min_tokens": int(tokens.min()),
            "max_tokens": int(tokens.max()),
        }
        values |= {name: float(table[rows, chosen].mean()) for name, table in self.errors.items()}
        for name in self.bank.extractors:
            features = self.bank.features(name, chosen)
            statistics = gaussian_statistics(features)
            values[FRECHET_NAMES[name]] = self.frechet[name].distance(statistics)
            if kernel:
                values[KERNEL_NAMES[name]] = self.kernel[name].distance(features)
        return values

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
