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
from reports.analysis.groups import Record, by_seed, has_collapsed, is_allocation

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

    def mean(self, name: str) -> float | None:
        """Mean over seeds; None where no seed has a value."""
        over = self.interval(name)
        return None if over is None else over.mean


def system_of(label: str, records: Iterable[Record], *, path: str) -> System:
    """The system of these cells, by the seed at `path`; a collapsed allocation has skill 0."""

    def metrics(record: Record) -> Metrics:
        collapsed = is_allocation(record) and has_collapsed(record)
        root = record.metrics.root
        return Metrics({**root, "allocation_skill": 0.0}) if collapsed else record.metrics

    records = tuple(records)
    found = by_seed(((record, metrics(record)) for record in records), path=path)
    return System(label, found, records, path)


def curve_system(label: str, records: Iterable[Record], budget: int, *, path: str) -> System:
    """The system of one fixed budget of these tokenizers; cells without it are left out."""
    rows = ((r, Metrics(row.values)) for r in records for row in r.curve if row.budget == budget)
    return System(label, by_seed(rows, path=path))


def control_of(label: str, name: str, records: Iterable[Record], *, path: str) -> System:
    """The system of one control of these allocations; cells without it are left out."""
    found = ((record, record.controls[name]) for record in records if name in record.controls)
    return System(label, by_seed(found, path=path))


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
    best = min(known, key=lambda system: sign * system.mean(metric))
    others = [system for system in known if system is not best]
    differences = paired.corrected([difference(other, best, metric) for other in others])
    tested = [
        (system, one) for system, one in zip(others, differences, strict=True) if not one.reason
    ]
    if not tested:
        return []
    return [best, *(system for system, one in tested if one.p > paired.LEVEL)]
