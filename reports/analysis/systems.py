"""Systems that are compared over training seeds: their metrics, and differences between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.compare import paired
from bench.compare.paired import Difference
from bench.metrics.declared import METRICS, QUALITIES, without_stand_ins
from bench.records.parts import Metrics
from bench.statistics.intervals import StudentInterval, student_interval
from reports.analysis.groups import Record, has_collapsed, is_allocation

PRIMARY = "mse"
DISTANCES = tuple(name for name in QUALITIES if not METRICS[name].higher_is_better)


@dataclass(frozen=True)
class System:
    """Metrics by training seed; several of one seed, such as policies, count as their mean.

    `records` are the cells that they are of, where these have tables of single images; `path` is
    that of the seed, where it is known.
    """

    label: str
    metrics: dict[Any, list[Metrics]]
    records: tuple[Record, ...] = ()
    path: str = ""

    def values(self, name: str) -> dict[Any, float]:
        """A metric by seed; seeds where one of the cells has no finite value are left out."""
        found = {}
        for seed, each in self.metrics.items():
            values = [metrics.value(name) for metrics in each]
            if values and all(value is not None and math.isfinite(value) for value in values):
                found[seed] = sum(values) / len(values)
        return found

    def interval(self, name: str) -> StudentInterval | None:
        """Student interval over seeds; None where no seed has a value."""
        values = self.values(name)
        return student_interval(list(values.values())) if values else None


def system_of(label: str, records: Iterable[Record], *, path: str) -> System:
    """The system of these cells, by the seed at `path`; a collapsed allocation has skill 0."""
    metrics: dict[Any, list[Metrics]] = {}
    records = tuple(records)
    for record in records:
        values = record.metrics
        if is_allocation(record) and has_collapsed(record):
            values = Metrics({**values.root, "allocation_skill": 0.0})
        metrics.setdefault(record.setting(path), []).append(values)
    return System(label, metrics, records, path)


def curve_system(label: str, records: Iterable[Record], budget: int, *, path: str) -> System:
    """The system of one fixed budget of these tokenizers; cells without it are left out."""
    metrics: dict[Any, list[Metrics]] = {}
    for record in records:
        for row in record.curve:
            if row.budget == budget:
                metrics.setdefault(record.setting(path), []).append(Metrics(row.values))
    return System(label, metrics)


def control_of(label: str, name: str, records: Iterable[Record], *, path: str) -> System:
    """The system of one control of these allocations; cells without it are left out."""
    metrics: dict[Any, list[Metrics]] = {}
    for record in records:
        if name in record.controls:
            metrics.setdefault(record.setting(path), []).append(record.controls[name])
    return System(label, metrics)


def measured_by(systems: Sequence[System], names: Iterable[str]) -> list[str]:
    """The names of which any system has a value, without stand-ins for another one."""
    return without_stand_ins(m for m in names if any(system.values(m) for system in systems))


def shown_distances(systems: Sequence[System]) -> list[str]:
    """Distances of which any system has a value, without stand-ins for another one."""
    return measured_by(systems, DISTANCES)


def difference(
    ours: System, theirs: System, metric: str, *, whole: float | None = None
) -> Difference:
    """Ours minus theirs in one metric, its `p` not corrected; see `bench.compare.paired`."""
    better = bool(METRICS[metric].higher_is_better)
    a, b = ours.values(metric), theirs.values(metric)
    return paired.difference(a, b, higher_is_better=better, whole=whole)


def moved(system: System, name: str, by: Callable[[Any, float], float | None]) -> System:
    """The system with its metric changed to `by(seed, value)`; without it where that is None."""
    metrics = {}
    for seed, value in system.values(name).items():
        changed = by(seed, value)
        if changed is not None:
            metrics[seed] = [Metrics({name: changed})]
    return replace(system, metrics=metrics)


def tied_with_best(family: Sequence[System], metric: str) -> list[System]:
    """The system with the best mean, and those not significantly worse.

    Differences to the best are paired by seed, their p corrected by Holm over the family. Nothing
    is marked in a family of one, or with fewer than two seeds in common with the best.
    """
    known = [system for system in family if system.values(metric)]
    if len(known) < 2:
        return []
    sign = -1 if METRICS[metric].higher_is_better else 1
    best = min(known, key=lambda system: sign * system.interval(metric).mean)
    others = [system for system in known if system is not best]
    differences = paired.corrected([difference(other, best, metric) for other in others])
    tested = [
        (system, one) for system, one in zip(others, differences, strict=True) if not one.reason
    ]
    if not tested:
        return []
    return [best, *(system for system, one in tested if one.p > paired.LEVEL)]
