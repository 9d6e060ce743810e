"""Groups of cells set against a suite's reference arm, paired by seed, corrected by Holm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from bench.compare.paired import Difference, corrected, difference
from bench.metrics.declared import METRICS
from reports.analysis.groups import Group, Record, is_allocation, repetition_seed
from reports.analysis.measures import budgets_of, skill
from reports.paper.text import show_interval, show_p

NO_COUNTERPART = "no counterpart"
SHOWN = ("better", "worse", "no difference shown")


@dataclass(frozen=True)
class Comparison:
    """A group minus its counterpart in the reference arm, if it has one."""

    group: Group
    reference: Group | None
    difference: Difference

    @property
    def label(self) -> str:
        """Name of the group."""
        return self.group.label

    @property
    def against(self) -> str:
        """Name of its counterpart; a dash where there is none."""
        return self.reference.label if self.reference else "-"


def reference_arm(records: list[Record]) -> str | None:
    """The arm that the suite sets its others against, if it names one."""
    return records[0].reference_arm if records else None


def compare(groups: list[Group], arm: str, metric: str) -> list[Comparison]:
    """Every group of the other arms against its counterpart in the reference arm, in one metric.

    Of allocations it is the metric, of tokenizers its mean over the budgets that both have.
    """
    better = bool(METRICS[metric].higher_is_better)
    references = [group for group in groups if group.records[0].arm == arm]
    found = []
    for group in groups:
        if group.records[0].arm != arm:
            reference, one = counterpart(group, references), Difference(reason=NO_COUNTERPART)
            if reference is not None:
                sides = _sides(group, reference, metric)
                one = difference(*sides, higher_is_better=better)
            found.append(Comparison(group, reference, one))
    adjusted = corrected([one.difference for one in found])
    return [replace(one, difference=p) for one, p in zip(found, adjusted, strict=True)]


def counterpart(group: Group, references: list[Group]) -> Group | None:
    """The reference group whose own swept values are also this group's settings."""
    for reference in references:
        theirs, ours = reference.records[0], group.records[0]
        swept = [path for path in theirs.swept if not path.endswith("seed")]
        if all(theirs.setting(path) == ours.setting(path) for path in swept):
            return reference
    return None


def _sides(group: Group, reference: Group, metric: str) -> list[dict[Any, float]]:
    """Values of both by seed; empty where a record of it has no value."""
    path = repetition_seed([*group.records, *reference.records])
    common = budgets_of(group).keys() & budgets_of(reference).keys()

    def value(record: Record) -> float | None:
        if is_allocation(group.records[0]):
            own = metric == "allocation_skill"
            return skill(record) if own else record.metrics.value(metric)
        values = [row.value(metric) for row in record.curve if row.budget in common]
        return fmean(values) if values and None not in values else None

    return [each.by_seed(value, path=path) or {} for each in (group, reference)]


def comparison_rows(comparisons: list[Comparison]) -> list[dict[str, Any]]:
    """Rows of a table."""
    return [
        {
            "system": one.label,
            "against": one.against,
            "seeds": len(one.difference.seeds),
            "difference": show_interval(one.difference.interval),
            "p (Holm)": show_p(one.difference.p),
            "verdict": one.difference.verdict,
        }
        for one in comparisons
    ]


def count_verdicts(comparisons: list[Comparison]) -> str:
    """`2 better, 1 worse, 3 no difference shown`, and the rest."""
    words = [one.difference.verdict for one in comparisons]
    others = sorted(set(words) - set(SHOWN))
    return ", ".join(f"{words.count(word)} {word}" for word in (*SHOWN, *others))
