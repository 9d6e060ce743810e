"""Two sides set against each other: group by group, metric by metric, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from bench.compare.sides import Side
from bench.errors import UserError
from bench.metrics.declared import COMPARED, METRICS, declared_metric
from bench.records.groups import Group, Record, has_collapsed, repetition_seed, setting
from bench.records.per_image import image_differences
from bench.records.protocol import require_one_protocol
from bench.statistics.bootstrap import BootstrapInterval, paired_bootstrap
from bench.statistics.intervals import PairedDifference, holm, paired_difference
from bench.statistics.power import minimum_detectable_effect

LEVEL = 0.05
TOKENS_TOLERANCE = 0.01


@dataclass(frozen=True)
class Difference:
    """B minus A of one metric of one match; `reason` says why there is no interval.

    `a` and `b` are means over the seeds that both have. `budget` is None where the metric is of a
    whole allocation, `seed` the path of the seed that pairs them, `p` corrected by Holm over all.
    """

    group: str
    budget: int | None
    metric: str
    a: float | None = None
    b: float | None = None
    interval: PairedDifference | BootstrapInterval | None = None
    seed: str | None = None
    p: float = math.nan
    reason: str | None = None

    @property
    def detectable(self) -> float:
        """Minimum detectable effect over seeds; NaN over images."""
        if not isinstance(self.interval, PairedDifference):
            return math.nan
        return minimum_detectable_effect(self.interval.sd, self.interval.n)

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `no difference shown`, at 5 %; or the reason for none of them."""
        if self.interval is None:
            return self.reason
        if self.p > LEVEL:
            return "no difference shown"
        return (
            "better"
            if (self.interval.mean > 0) == METRICS[self.metric].higher_is_better
            else ("worse")
        )


@dataclass(frozen=True)
class Comparison:
    """All differences, and what else is to be said."""

    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def worse(self) -> bool:
        """Whether anything is significantly worse on side B."""
        return any(one.verdict == "worse" for one in self.differences)


def compare(a: Side, b: Side, *, metrics: Sequence[str] = (), seed: int = 0) -> Comparison:
    """Every group of B against its match in A.

    Groups match by their label; without the arm's name where each side is of one arm; and in any
    case where each side is one group. Curves are compared at the budgets that both have.

    Args:
        a: the side to start from.
        b: the side that may be better or worse.
        metrics: what to compare; by default those of `COMPARED` that both have.
        seed: of the bootstrap over images, which stands in where there is one seed.

    Raises:
        UserError: an unknown metric, no match, no budget or metric in common, or two protocols.
    """
    for metric in metrics:
        declared_metric(metric, where="--metric")
    matches = _matches(a, b)
    pairs = [group for match in matches for group in match]
    require_one_protocol([r["protocol"] for group in pairs for r in group.records])
    notes, left_out, found = _unmatched(a, b, matches), [], []
    for ours, theirs in matches:
        places = _places(ours, theirs)
        if not places:
            left_out.append(f"{theirs.label}: no budget in common with {ours.label}")
        notes += _tokens_note(ours, theirs) if places == [None] else []
        for place in places:
            for metric in metrics or COMPARED:
                missing = _missing(metric, place, ours, theirs)
                if not missing and (metrics or not _stands_in(metric, place, ours, theirs)):
                    found.append(_difference(ours, theirs, metric, place, (a, b), seed))
                elif missing and metrics:
                    at = "" if place is None else f" at {place} tokens"
                    left_out.append(f"{theirs.label}{at}: {metric}: {missing}")
    if not found:
        asked = f"no metric of {', '.join(COMPARED)} in common; give a --metric"
        raise UserError(f"not comparable: {left_out[0] if left_out else asked}")
    adjusted = holm([math.nan if d.interval is None else d.interval.p for d in found])
    return Comparison(
        tuple(replace(d, p=p) for d, p in zip(found, adjusted, strict=True)), (*notes, *left_out)
    )


def _matches(a: Side, b: Side) -> list[tuple[Group, Group]]:
    if len(a.groups) == len(b.groups) == 1:
        return [(a.groups[0], b.groups[0])]
    alone = a.arm is not None and b.arm is not None

    def name(group: Group) -> str:
        return group.label.removeprefix(group.records[0]["arm"]) if alone else group.label

    ours = {name(group): group for group in a.groups}
    found = [(ours[name(group)], group) for group in b.groups if name(group) in ours]
    if not found:
        labels = [", ".join(group.label for group in side.groups[:3]) for side in (a, b)]
        raise UserError(
            f"not comparable: no group of {a.name} ({labels[0]}) has its match in {b.name} "
            f"({labels[1]}); pick one of each with SUITE:GROUP"
        )
    return found


def _unmatched(a: Side, b: Side, matches: list[tuple[Group, Group]]) -> list[str]:
    """Cells without a result, and groups that one side alone has."""
    notes = []
    for place, side in enumerate((a, b)):
        matched = [match[place] for match in matches]
        alone = [group.label for group in side.groups if group not in matched]
        notes += [f"only in {side.name}: {label}" for label in alone]
        notes += [
            f"{record['status']} in {side.name}: {record['label']}: {record['error'] or 'not run'}"
            for record in side.unfinished
        ]
    return notes


def _places(ours: Group, theirs: Group) -> list[int | None]:
    """Budgets at which both have a curve; None, once, where one of the two has none."""
    budgets = [
        [{row["budget"] for row in record["curve"]} for record in group.records]
        for group in (ours, theirs)
    ]
    if not all(any(side) for side in budgets):
        return [None]
    return sorted(set.intersection(*budgets[0], *budgets[1]))


def _value(metric: str, budget: int | None) -> Callable[[Record], float | None]:
    """A metric of a record, at one budget of its curve or of its allocation.

    The skill of a collapsed policy is 0: a fixed length would do the same.
    """

    def value(record: Record) -> float | None:
        if budget is None:
            values = record["metrics"]
            if metric == "allocation_skill" and metric in values and has_collapsed(record):
                return 0.0
        else:
            values = next(row for row in record["curve"] if row["budget"] == budget)
        return values.get(metric)

    return value


def _missing(metric: str, budget: int | None, ours: Group, theirs: Group) -> str | None:
    """Why a metric is not compared."""
    value = _value(metric, budget)
    if not all(any(value(r) is not None for r in group.records) for group in (ours, theirs)):
        return "not measured on both sides"
    if metric.startswith("allocation_skill") and _candidates(ours) != _candidates(theirs):
        return "skill is relative to the oracle of the candidates, and they differ"
    return None


def _candidates(group: Group) -> list[object]:
    record = group.records[0]
    return [setting(record, f"{part}.candidates") for part in ("policy", "allocator")]


def _stands_in(metric: str, budget: int | None, ours: Group, theirs: Group) -> bool:
    better = declared_metric(metric).stands_in_for
    return better is not None and _missing(better, budget, ours, theirs) is None


def _tokens_note(ours: Group, theirs: Group) -> list[str]:
    """Says where two allocations do not spend the same."""
    first, second = (
        fmean(record["metrics"]["mean_tokens"] for record in group.records)
        for group in (ours, theirs)
    )
    if abs(second / first - 1) <= TOKENS_TOLERANCE:
        return []
    return [f"{theirs.label}: not at equal mean tokens: A spends {first:.2f}, B {second:.2f}"]


def _difference(
    ours: Group,
    theirs: Group,
    metric: str,
    budget: int | None,
    sides: tuple[Side, Side],
    seed: int,
) -> Difference:
    value, path = _value(metric, budget), repetition_seed([*ours.records, *theirs.records])
    row = Difference(theirs.label, budget, metric, seed=path)
    a, b = ours.by_seed(value, path=path), theirs.by_seed(value, path=path)
    if a is None or b is None:
        return replace(row, reason="a cell has no finite value")
    common = [one for one in a if one in b]
    if not common:
        return replace(row, reason=f"no {path} in common")
    row = replace(row, a=fmean(a[one] for one in common), b=fmean(b[one] for one in common))
    if len(common) > 1:
        return replace(row, interval=paired_difference(b, a))
    cells = [
        [(r, side.store) for r in group.records if setting(r, path) == common[0]]
        for group, side in zip((ours, theirs), sides, strict=True)
    ]
    if [len(each) for each in cells] != [1, 1]:
        return replace(row, reason="one seed, and several cells at it")
    try:
        differences = image_differences(cells[0][0], cells[1][0], metric, budget)
        over = paired_bootstrap(differences, np.random.default_rng(seed))
    except ValueError as error:
        return replace(row, reason=f"one seed, and {error}")
    return replace(row, interval=over)
