"""From a configuration to an allocator that is ready to allocate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.allocators.base import Allocator, Seen
from bench.allocators.heuristic import Heuristic
from bench.allocators.mixture import agnostic
from bench.allocators.oracle import Oracle
from bench.allocators.scores import CodeSurprisal, Score, edge_density, png_size
from bench.allocators.threshold import ThresholdSearch
from bench.config.allocators import (
    AgnosticConfig,
    AllocatorConfig,
    CodebookEntropyConfig,
    EdgeDensityConfig,
    HeuristicConfig,
    OracleConfig,
    PngSizeConfig,
    ThresholdConfig,
)


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """What allocators over `budgets [M]` are fitted on, all with curves.

    `training` images teach, `calibration` images (the training images, when null) fix the mean
    budget; `judged` are those that the allocation will be judged on, for what is known in hindsight
    only. `seed` draws what is random.
    """

    budgets: np.ndarray
    judged: Seen
    training: Seen | None = None
    calibration: Seen | None = None
    seed: int = 0


def build_allocator(config: AllocatorConfig, fitting: Fitting) -> Allocator:
    """The allocator of any configuration but that of a tokenizer's own allocation.

    Raises:
        UserError: the mean budget lies outside the candidates.
    """
    budgets = fitting.budgets
    if isinstance(config, AgnosticConfig):
        return agnostic(
            budgets,
            mean_curve=fitting.judged.curves.mean(axis=0),
            mean_budget=config.mean_budget,
            seed=fitting.seed,
        )
    if isinstance(config, OracleConfig):
        return Oracle(budgets=budgets, mean_budget=config.mean_budget)
    if isinstance(config, ThresholdConfig):
        return _threshold(config, fitting)
    return _heuristic(config, fitting)


def _threshold(config: ThresholdConfig, fitting: Fitting) -> ThresholdSearch:
    if config.distortion is not None:
        return ThresholdSearch(
            budgets=fitting.budgets, search=config.search, distortion=config.distortion
        )
    return ThresholdSearch.fitted(
        fitting.training if fitting.calibration is None else fitting.calibration,
        budgets=fitting.budgets,
        search=config.search,
        mean_budget=config.mean_budget,
    )


def _heuristic(config: HeuristicConfig, fitting: Fitting) -> Heuristic:
    score: Score = {"png_size": png_size, "edge_density": edge_density}.get(config.kind)
    if isinstance(config, CodebookEntropyConfig):
        score = CodeSurprisal.fitted(fitting.training.ids, prefix=config.prefix)
    return Heuristic.fitted(
        config.kind,
        score,
        sees=frozenset({"ids" if isinstance(config, CodebookEntropyConfig) else "pixels"}),
        budgets=fitting.budgets,
        mean_budget=config.mean_budget,
        training=fitting.training,
        calibration=fitting.calibration,
    )


def heuristics_at(mean_budget: float) -> tuple[AllocatorConfig, ...]:
    """Every allocator that needs training images and no training, at a mean budget."""
    return (
        PngSizeConfig(mean_budget=mean_budget),
        EdgeDensityConfig(mean_budget=mean_budget),
        CodebookEntropyConfig(mean_budget=mean_budget),
        ThresholdConfig(search="scan", mean_budget=mean_budget),
        ThresholdConfig(search="bisection", mean_budget=mean_budget),
    )
