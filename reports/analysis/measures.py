"""Values of records that figures and tables compare: skill, quality over budgets, training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any

from bench.metrics.declared import without_stand_ins
from reports.analysis.comparisons import Measure
from reports.analysis.groups import (
    Group,
    Record,
    has_collapsed,
    is_allocation,
    is_trained_here,
    repetition_seed,
)


def skill(record: Record, metric: str = "allocation_skill") -> float | None:
    """The policy's skill; 0 where it has collapsed, since a fixed length would do the same."""
    if metric not in record.metrics:
        return None
    return 0.0 if has_collapsed(record) else record.metrics.value(metric)


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
    path = repetition_seed(group.records)
    values: dict[Any, list[float]] = {}
    for record in group.records:
        for row in record.curve:
            if row.budget == budget and (value := row.value(metric)) is not None:
                values.setdefault(record.setting(path), []).append(value)
    return {seed: fmean(each) for seed, each in values.items()}


def measured_by_all(groups: Iterable[Group], names: Iterable[str]) -> list[str]:
    """Metrics that every row of every curve has, without stand-ins for another one."""
    rows = [row for group in groups for record in group.records for row in record.curve]
    return without_stand_ins(name for name in names if all(name in row.values for row in rows))


def measure_of(metric: str) -> Measure:
    """A measure to compare by: an allocation's metric, a tokenizer's mean of it over budgets."""

    def measure(group: Group, reference: Group) -> Callable[[Record], float | None]:
        if is_allocation(group.records[0]):
            return skill if metric == "allocation_skill" else lambda r: r.metrics.value(metric)
        return mean_over_budgets(metric)(group, reference)

    return measure


def mean_over_budgets(metric: str) -> Measure:
    """A measure to compare by: a metric averaged over the budgets that both groups have."""

    def measure(group: Group, reference: Group) -> Any:
        common = budgets_of(group).keys() & budgets_of(reference).keys()

        def value(record: Record) -> float | None:
            values = [row.value(metric) for row in record.curve if row.budget in common]
            return fmean(values) if values and None not in values else None

        return value

    return measure
