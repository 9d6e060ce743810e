"""Groups of cells set against a suite's reference arm, paired by seed, corrected by Holm."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bench.statistics.intervals import PairedDifference, holm, paired_difference
from reports.analysis.groups import Group, Record, repetition_seed
from reports.paper.shares import show_p
from reports.paper.text import show_interval

LEVEL = 0.05
Measure = Callable[[Group, Group], Callable[[Record], float | None]]


@dataclass(frozen=True)
class Comparison:
    """A group minus its counterpart in the reference arm; `p` is corrected for all comparisons.

    Without a counterpart, or a seed in common with it, there is no difference. `by_seed` has the
    differences that its mean is of.
    """

    label: str
    reference: str | None
    difference: PairedDifference | None
    p: float = math.nan
    by_seed: Mapping[Any, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `no difference shown` at 5 % (larger is better), or why neither."""
        if self.reference is None:
            return "no counterpart"
        if self.difference is None:
            return "no seed in common with a value"
        if self.difference.n == 1:
            return "one training each: no interval"
        if self.p > LEVEL:
            return "no difference shown"
        return "better" if self.difference.mean > 0 else "worse"


def reference_arm(records: list[Record]) -> str | None:
    """The arm that the suite sets its others against, if it names one."""
    return records[0].reference_arm if records else None


def compare(groups: list[Group], arm: str, measure: Measure) -> list[Comparison]:
    """Every group of the other arms against its counterpart in the reference arm.

    Args:
        groups: all groups.
        arm: name of the reference arm.
        measure: of a group and its counterpart, what is compared of a record; larger is better.
    """
    references = [group for group in groups if group.records[0].arm == arm]
    found = []
    for group in groups:
        if group.records[0].arm == arm:
            continue
        reference = counterpart(group, references)
        pairs = _pairs(group, reference, measure) if reference else {}
        difference = paired_difference(pairs, dict.fromkeys(pairs, 0.0)) if pairs else None
        name = reference and reference.label
        found.append(Comparison(group.label, name, difference, by_seed=pairs))
    adjusted = holm([math.nan if c.difference is None else c.difference.p for c in found])
    return [replace(c, p=p) for c, p in zip(found, adjusted, strict=True)]


def counterpart(group: Group, references: list[Group]) -> Group | None:
    """The reference group whose own swept values are also this group's settings."""
    for reference in references:
        theirs, ours = reference.records[0], group.records[0]
        swept = [path for path in theirs.swept if not path.endswith("seed")]
        if all(theirs.setting(path) == ours.setting(path) for path in swept):
            return reference
    return None


def _pairs(group: Group, reference: Group, measure: Measure) -> dict[Any, float]:
    """Group minus reference by seed; empty where a record of either has no value."""
    path = repetition_seed([*group.records, *reference.records])
    value = measure(group, reference)
    ours, theirs = group.by_seed(value, path=path), reference.by_seed(value, path=path)
    if ours is None or theirs is None:
        return {}
    return {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}


def comparison_rows(comparisons: list[Comparison], *, digits: int = 2) -> list[dict[str, Any]]:
    """Rows of a table."""
    return [
        {
            "system": one.label,
            "against": one.reference or "-",
            "seeds": one.difference.n if one.difference else 0,
            "difference": show_interval(one.difference, digits=digits),
            "p (Holm)": show_p(one.p),
            "verdict": one.verdict,
        }
        for one in comparisons
    ]


def count_verdicts(comparisons: list[Comparison]) -> str:
    """`2 better, 1 worse, 3 no difference shown`, and the rest."""
    words = [one.verdict for one in comparisons]
    always = ("better", "worse", "no difference shown")
    others = sorted(set(words) - set(always))
    return ", ".join(f"{words.count(word)} {word}" for word in (*always, *others))
