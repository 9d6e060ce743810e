"""Allocation by one score per image: its expected curve at that score, then equal slope.

This is the most that a score can do without learning more than averages: no rule of thumb says how
many tokens so many bytes deserve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.allocators.base import Allocation, Fitting, Seen, encoder_passes
from bench.allocators.equal_slope import choose, price_meeting
from bench.allocators.scores import CodeSurprisal, Score, edge_density, png_size
from bench.config.allocators import CodebookEntropyConfig, EdgeDensityConfig, PngSizeConfig

BINS = 16


@dataclass(frozen=True)
class ScoreCurves:
    """The mean distortion curve of images by their score.

    `scores [K]` are the mean scores of quantile bins, increasing; `curves [K, M]` their mean
    curves, linear between and constant beyond.
    """

    scores: np.ndarray
    curves: np.ndarray

    @staticmethod
    def fitted(scores: np.ndarray, curves: np.ndarray, *, bins: int = BINS) -> ScoreCurves:
        """From scores `[n]` and curves `[n, M]`; images of one score share a bin."""
        edges = np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1])
        bin_of = np.searchsorted(edges, scores)
        used, bin_of, counts = np.unique(bin_of, return_inverse=True, return_counts=True)
        means = np.bincount(bin_of, scores) / counts
        mean_curves = np.zeros((len(used), curves.shape[1]))
        np.add.at(mean_curves, bin_of, curves)
        return ScoreCurves(means, mean_curves / counts[:, None])

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """The expected curve `[n, M]` at each score."""
        return np.stack([np.interp(scores, self.scores, c) for c in self.curves.T], axis=1)


@dataclass(frozen=True, kw_only=True)
class Heuristic:
    """Equal slope on the curves that a score stands for, at one `price` per token."""

    name: str
    sees: frozenset[str]
    budgets: np.ndarray
    score: Score
    curves: ScoreCurves
    price: float

    @staticmethod
    def fitted(
        name: str,
        score: Score,
        *,
        sees: frozenset[str],
        budgets: np.ndarray,
        mean_budget: float,
        training: Seen,
        calibration: Seen | None = None,
    ) -> Heuristic:
        """Curves by score from the `training` images, the price from the `calibration` images.

        Without the latter the training images serve for both.

        Raises:
            UserError: the mean lies outside the budgets.
        """
        scores = score(training.only(sees))
        curves = ScoreCurves.fitted(scores, training.curves)
        if calibration is not None:
            scores = score(calibration.only(sees))
        price = price_meeting(curves(scores), budgets, mean_budget)
        return Heuristic(
            name=name, sees=sees, budgets=budgets, score=score, curves=curves, price=price
        )

    def allocate(self, seen: Seen) -> Allocation:
        """Each image's choice depends on its own score alone."""
        chosen = choose(self.curves(self.score(seen)), self.budgets, self.price)
        return Allocation(chosen, encoder_passes(self.sees, nested=seen.nested))


def fit_png_size(config: PngSizeConfig, fitting: Fitting) -> Heuristic:
    """Budgets by the size of an image as a PNG."""
    return _fit(config, png_size, "pixels", fitting)


def fit_edge_density(config: EdgeDensityConfig, fitting: Fitting) -> Heuristic:
    """Budgets by the mean gradient of an image."""
    return _fit(config, edge_density, "pixels", fitting)


def fit_codebook_entropy(config: CodebookEntropyConfig, fitting: Fitting) -> Heuristic:
    """Budgets by the surprisal of an image's first tokens."""
    score = CodeSurprisal.fitted(fitting.training.ids, prefix=config.prefix)
    return _fit(config, score, "ids", fitting)


def _fit(
    config: PngSizeConfig | EdgeDensityConfig | CodebookEntropyConfig,
    score: Score,
    part: str,
    fitting: Fitting,
) -> Heuristic:
    return Heuristic.fitted(
        config.kind,
        score,
        sees=frozenset({part}),
        budgets=fitting.budgets,
        mean_budget=config.mean_budget,
        training=fitting.training,
        calibration=fitting.calibration,
    )
