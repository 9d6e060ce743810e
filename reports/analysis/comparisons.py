"""Groups of cells set against a suite's reference arm, paired by seed, corrected by Holm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.compare.paired import Difference, corrected, difference
from reports.analysis.groups import Group, Record, repetition_seed
from reports.paper.shares import show_p
from reports.paper.text import show_interval

NO_COUNTERPART = "no counterpart"
SHOWN = ("better", "worse", "no difference shown")
Measure = Callable[[Group, Group], Callable[[Record], float | None]]


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


def compare(
    groups: list[Group], arm: str, measure: Measure, *, higher_is_better: bool = True
) -> list[Comparison]:
    """Every group of the other arms against its counterpart in the reference arm.

    Args:
        groups: all groups.
        arm: name of the reference arm.
        measure: of a group and its counterpart, what is compared of a record.
        higher_is_better: says what the verdicts call better.
    """
    references = [group for group in groups if group.records[0].arm == arm]
    found = []
    for group in groups:
        if group.records[0].arm != arm:
            reference, one = counterpart(group, references), Difference(reason=NO_COUNTERPART)
            if reference is not None:
                sides = _sides(group, reference, measure)
                one = difference(*sides, higher_is_better=higher_is_better)
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


def _sides(
    group: Group, reference: Group, measure: Measure
) -> tuple[Mapping[Any, float], Mapping[Any, float]]:
    """Values of both by seed; empty where a record of it has no value."""
    path = repetition_seed([*group.records, *reference.records])
    value = measure(group, reference)
    return group.by_seed(value, path=path) or {}, reference.by_seed(value, path=path) or {}


def comparison_rows(comparisons: list[Comparison], *, digits: int = 2) -> list[dict[str, Any]]:
    """Rows of a table."""
    return [
        {
            "system": one.label,
            "against": one.against,
            "seeds": len(one.difference.seeds),
            "difference": show_interval(one.difference.interval, digits=digits),
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
