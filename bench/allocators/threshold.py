"""Search for the smallest budget whose distortion passes a threshold (ElasticTok's way).

Every probe decodes the image and compares it with the original. The published bisection hands back
the budget that it probed last, whether it passed or not; this one the smallest that it saw pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.allocators.allocation import require_within
from bench.allocators.base import Allocation, Fitting, Seen, passes_if
from bench.config.allocators import ThresholdConfig

Search = Literal["scan", "bisection"]


@dataclass(frozen=True)
class Found:
    """Columns `[n]` of the answers, how many budgets were probed `[n]`, and whether the answer was.

    The largest budget is the answer where no other passes, so it is never probed.
    """

    chosen: np.ndarray
    probes: np.ndarray
    probed: np.ndarray


def scan(passes: np.ndarray) -> Found:
    """From the smallest budget up: the first of `passes [n, M]` that holds."""
    last = passes.shape[1] - 1
    chosen = np.where(passes[:, :last].any(axis=1), passes.argmax(axis=1), last)
    return Found(chosen, np.minimum(chosen + 1, last), chosen < last)


def bisection(passes: np.ndarray) -> Found:
    """Halving the candidates: the smallest budget seen to pass, the full one if none is.

    The same as `scan` where `passes [n, M]` never falls back to false as budgets grow.
    """
    rows, last = np.arange(len(passes)), passes.shape[1] - 1
    low, high = np.zeros(len(passes), dtype=np.int64), np.full(len(passes), last)
    probes = np.zeros(len(passes), dtype=np.int64)
    while (low < high).any():
        open_ = low < high
        middle = (low + high) // 2
        holds = passes[rows, middle]
        high = np.where(open_ & holds, middle, high)
        low = np.where(open_ & ~holds, middle + 1, low)
        probes += open_
    return Found(high, probes, high < last)


SEARCHES = {"scan": scan, "bisection": bisection}


def threshold_meeting(
    curves: np.ndarray, budgets: np.ndarray, mean_budget: float, *, search: Search
) -> float:
    """The distortion at which the search spends `mean_budget` tokens per image, at the nearest.

    The mean falls as the threshold rises, for both searches and whatever the `curves [n, M]`: the
    fewer budgets pass, the longer the answer. Minus infinity asks for the largest budget always.

    Raises:
        UserError: the mean lies outside the budgets.
    """
    mean_budget = require_within(mean_budget, budgets[0], budgets[-1])
    levels = np.concatenate([[-np.inf], np.unique(curves)])

    def spent(level: int) -> float:
        return float(budgets[SEARCHES[search](curves <= levels[level]).chosen].mean())

    low, high = 0, len(levels) - 1  # spends too much, or spends enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if spent(middle) > mean_budget else (low, middle)
    return float(levels[min((low, high), key=lambda level: abs(spent(level) - mean_budget))])


@dataclass(frozen=True, kw_only=True)
class ThresholdSearch:
    """The smallest budget with a distortion of at most `distortion`, by scan or bisection."""

    budgets: np.ndarray
    search: Search
    distortion: float
    sees = frozenset({"curves"})

    @property
    def name(self) -> str:
        """`threshold_scan` or `threshold_bisection`."""
        return f"threshold_{self.search}"

    @staticmethod
    def fitted(
        calibration: Seen, *, budgets: np.ndarray, search: Search, mean_budget: float
    ) -> ThresholdSearch:
        """The threshold that comes to a mean budget on these images.

        Raises:
            UserError: the mean lies outside the budgets.
        """
        curves = calibration.part("curves")
        distortion = threshold_meeting(curves, budgets, mean_budget, search=search)
        return ThresholdSearch(budgets=budgets, search=search, distortion=distortion)

    def allocate(self, seen: Seen) -> Allocation:
        """A decoder pass per probe; unless tokens are nested, an encoder pass per probe too.

        There, an answer that was not probed still has to be encoded.
        """
        found = SEARCHES[self.search](seen.part("curves") <= self.distortion)
        probes = float(found.probes.mean())
        encoded = passes_if(seen.nested, not_nested=float((found.probes + ~found.probed).mean()))
        return Allocation(found.chosen, encoded, probes, {"threshold": self.distortion})


def fit_threshold(config: ThresholdConfig, fitting: Fitting) -> ThresholdSearch:
    """The search at a given distortion, or at the one that comes to a mean budget."""
    budgets, search = fitting.budgets, config.search
    if config.distortion is not None:
        return ThresholdSearch(budgets=budgets, search=search, distortion=config.distortion)
    assert config.mean_budget is not None  # The configuration has exactly one of the two.
    return ThresholdSearch.fitted(
        fitting.calibrating, budgets=budgets, search=search, mean_budget=config.mean_budget
    )
