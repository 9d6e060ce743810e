"""Agreement of metrics in how they rank systems: Kendall's tau, per seed, then averaged."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.statistics.intervals import StudentInterval, student_interval
from reports.analysis.systems import System

FEWEST = 3


@dataclass(frozen=True)
class Agreement:
    """Tau-b of two metrics over `systems` (the fewest of any seed); 1 is the same order."""

    metrics: tuple[str, str]
    tau: StudentInterval
    systems: int


def agreements(systems: Sequence[System], metrics: Sequence[str]) -> list[Agreement]:
    """One per pair of metrics; pairs without a seed of three systems are left out."""
    found = [_agreement(systems, pair) for pair in itertools.combinations(metrics, 2)]
    return [one for one in found if one is not None]


def _agreement(systems: Sequence[System], metrics: tuple[str, str]) -> Agreement | None:
    from scipy import stats  # It takes long to import.

    first, second = ([system.values(name) for system in systems] for name in metrics)
    points: dict[Any, list[tuple[float, float]]] = {}
    for one, other in zip(first, second, strict=True):
        for seed in one.keys() & other.keys():
            points.setdefault(seed, []).append((one[seed], other[seed]))
    taus, counts = [], []
    for each in points.values():
        tau = stats.kendalltau(*zip(*each, strict=True)).statistic if len(each) >= FEWEST else None
        if tau is not None and math.isfinite(tau):  # not where one metric is the same for all
            taus.append(float(tau))
            counts.append(len(each))
    return Agreement(metrics, student_interval(taus), min(counts)) if taus else None
