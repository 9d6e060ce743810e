"""Values of records that figures and tables compare: skill, quality over budgets, training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any

from bench.metrics.declared import without_stand_ins
from bench.statistics.intervals import StudentInterval
from reports.analysis.groups import (
    Group,
    Record,
    by_seed,
    has_collapsed,
    is_trained_here,
    repetition_seed,
)


def skill(record: Record, metric: str = "allocation_skill") -> float | None:
    """The policy's skill; 0 where it has collapsed, since a fixed length would do the same."""
    if metric not in record.metrics:
        return None
    return 0.0 if has_collapsed(record) else record.metrics.value(metric)


def mean_of(group: Group, value: Callable[[Record], float | None]) -> float | None:
    """The mean over repetitions; None where a record lacks the value."""
    over = group.interval_of(value)
    return None if over is None else over.mean


def largest(
    groups: Iterable[Group], value: Callable[[Record], float | None]
) -> tuple[StudentInterval, str] | None:
    """The largest mean, with its interval, and the label of its group; None where none has one."""
    found = [(over, one.label) for one in groups if (over := one.interval_of(value)) is not None]
    return max(found, key=lambda pair: pair[0].mean, default=None)


def control_skill(group: Group) -> float | None:
    """Mean skill of the same budgets on other images; None where it is not defined."""
    shuffled = [r.controls["shuffled"] for r in group.records if "shuffled" in r.controls]
    values = [one.value("allocation_skill") for one in shuffled]
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def target_error(record: Record) -> float | None:
    """Distance of the mean tokens from a constraint's target, as a share of it."""
    target = getattr(record.config.policy.weighting, "mean_budget", None)
    return None if target is None else record.metrics.value("mean_tokens") / target - 1


def training_seconds(record: Record) -> float | None:
    """Seconds that training the tokenizer took, fine-tuning included; None of someone else's."""
    if not is_trained_here(record):
        return None
    return sum(stage.seconds for stage in record.stages if stage.stage == "tokenizer")


def budgets_of(group: Group) -> dict[int, bool]:
    """The group's budgets, increasing, and whether the tokenizer was trained for them."""
    trained: dict[int, bool] = {}
    for record in group.records:
        for row in record.curve:
            trained[row.budget] = trained.get(row.budget, True) and row.trained
    return dict(sorted(trained.items()))


def values_at(group: Group, metric: str, budget: int) -> dict[Any, float]:
    """A metric at one budget by training seed; cells that lack it are left out."""
    rows = ((record, row) for record in group.records for row in record.curve)
    known = (
        (record, value)
        for record, row in rows
        if row.budget == budget and (value := row.value(metric)) is not None
    )
    found = by_seed(known, path=repetition_seed(group.records))
    return {seed: fmean(each) for seed, each in found.items()}


def measured_by_all(groups: Iterable[Group], names: Iterable[str]) -> list[str]:
    """Metrics that every row of every curve has, without stand-ins for another one."""
    rows = [row for group in groups for record in group.records for row in record.curve]
    return without_stand_ins(name for name in names if all(name in row.values for row in rows))
