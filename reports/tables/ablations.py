"""Ablations: every arm against the suite's reference arm, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bench.metrics.declared import METRICS, QUALITIES, without_stand_ins
from bench.statistics.intervals import PairedDifference, holm, paired_difference
from reports.analysis.comparisons import LEVEL, Measure, counterpart, reference_arm
from reports.analysis.groups import (
    Group,
    Record,
    group_by_seed,
    is_allocation,
    protocol_line,
    reconstructions,
    repetition_seed,
    with_results,
)
from reports.analysis.measures import mean_over_budgets, skill
from reports.paper.shares import show_significant
from reports.paper.text import caption
from reports.tables.table import NOT_MEASURED, WORDS, Column, Row, Table, Value, words

NAME, TITLE = "ablations", "Ablations"
MEASURES = (*QUALITIES, "mean_tokens", "allocation_skill")


@dataclass(frozen=True)
class _Compared:
    """A group of another arm, its counterpart, and their differences and p by metric."""

    group: Group
    reference: Group | None
    differences: dict[str, PairedDifference | None]
    p: dict[str, float] = field(default_factory=dict)


def table(records: list[Record]) -> Table:
    """A row per group of the other arms; differences to its counterpart in the reference arm."""
    arm, records = reference_arm(records), reconstructions(records)
    done = with_results(records)
    if arm is None:
        return Table(NAME, TITLE, notes=("Not made: the suite names no reference_arm.",))
    if not any(record.arm == arm for record in done):
        return Table(NAME, TITLE, notes=(f"Not made: arm '{arm}' has no result to compare with.",))
    groups = group_by_seed(done)
    metrics = _metrics(done)
    found = [
        one for kind in (False, True) for one in _of_kind(groups, arm, metrics, allocates=kind)
    ]
    rows = [_row(one) for one in found] + _unfinished(records, {g.label for g in groups}, arm)
    if not rows:
        return Table(NAME, TITLE, notes=(f"Not made: no other arm than '{arm}' has a cell.",))
    columns = (
        *(Column("system", "system", WORDS), Column("against", "against", WORDS)),
        Column("seeds", "seeds"),
        *(Column(name, f"Δ {METRICS[name].title}") for name in metrics),
        *(
            [Column("remark", "remark", WORDS)]
            if any(r.values["remark"].text for r in rows)
            else []
        ),
    )
    return Table(NAME, TITLE, columns, tuple(rows), _notes(arm, records))


def _metrics(done: Sequence[Record]) -> list[str]:
    """Those that any record has, without stand-ins for another one."""
    names = MEASURES if any(map(is_allocation, done)) else QUALITIES
    return without_stand_ins(m for m in names if any(r.metrics.value(m) is not None for r in done))


def _of_kind(
    groups: Sequence[Group], arm: str, metrics: Sequence[str], *, allocates: bool
) -> list[_Compared]:
    """Curves against curves, or allocations against allocations; p by metric, over all of them."""
    same = [group for group in groups if is_allocation(group.records[0]) == allocates]
    references = [group for group in same if group.records[0].arm == arm]
    names = metrics if allocates else [name for name in metrics if name in QUALITIES]
    found = [
        _compared(group, counterpart(group, references), names)
        for group in same
        if group not in references
    ]
    return _corrected(found, names)


def _compared(group: Group, reference: Group | None, metrics: Sequence[str]) -> _Compared:
    if reference is None:
        return _Compared(group, None, {})
    path = repetition_seed([*group.records, *reference.records])
    differences: dict[str, PairedDifference | None] = {}
    for name in metrics:
        value = _measure(name)(group, reference)
        a, b = group.by_seed(value, path=path), reference.by_seed(value, path=path)
        known = a is not None and b is not None and a.keys() & b.keys()
        differences[name] = paired_difference(a, b) if known else None
    return _Compared(group, reference, differences)


def _measure(name: str) -> Measure:
    """A metric of an allocation, or a curve's mean over the budgets that both have."""

    def measure(group: Group, reference: Group) -> Callable[[Record], float | None]:
        if is_allocation(group.records[0]):
            return skill if name == "allocation_skill" else lambda r: r.metrics.value(name)
        return mean_over_budgets(name)(group, reference)

    return measure


def _corrected(found: Sequence[_Compared], metrics: Sequence[str]) -> list[_Compared]:
    """With Holm's p, over the systems of a metric."""
    p: dict[tuple[int, str], float] = {}
    for name in metrics:
        known = [one for one in found if one.differences.get(name)]
        adjusted = holm([one.differences[name].p for one in known])
        p |= {(id(one), name): value for one, value in zip(known, adjusted, strict=True)}
    return [
        replace(one, p={name: p[id(one), name] for name in one.differences if (id(one), name) in p})
        for one in found
    ]


def _row(one: _Compared) -> Row:
    known = [difference.n for difference in one.differences.values() if difference]
    remark = "no counterpart in the reference arm" if one.reference is None else ""
    if one.reference is not None and not known:
        remark = "no seed or no length in common with the reference arm"
    seeds = max(known, default=0)
    remark = remark or ("one training each: no interval" if seeds == 1 else "")
    values = {
        "system": words(one.group.label),
        "against": words(one.reference.label if one.reference else "-"),
        "seeds": Value(str(seeds), seeds),
        "remark": words(remark),
    }
    for name, difference in one.differences.items():
        if difference is None:
            values[name] = Value(NOT_MEASURED)
        else:
            values[name] = _difference(name, difference, one.p[name])
    of = [*one.group.records, *(one.reference.records if one.reference else ())]
    return Row(values, tuple(record.cell_key for record in of))


def _difference(name: str, over: PairedDifference, p: float) -> Value:
    text = show_significant(over, digits=3).removesuffix(" (one seed)")
    verdict = ""
    if not math.isnan(p) and p <= LEVEL and name != "mean_tokens":
        verdict = "better" if (over.mean > 0) == METRICS[name].higher_is_better else "worse"
    return Value(
        text if text.startswith("-") else f"+{text}",
        over.mean,
        over,
        verdict=verdict,
        more={"p_holm": "" if math.isnan(p) else p},
    )


def _unfinished(records: Sequence[Record], shown: set[str], arm: str) -> list[Row]:
    """Groups without any result."""
    rows = []
    for group in group_by_seed(list(records)):
        record = group.records[0]
        if group.label not in shown and record.arm != arm:
            remark = words(f"{record['status']}: {record['error'] or 'not run'}")
            values = {"system": words(group.label), "seeds": Value("0", 0), "remark": remark}
            keys = tuple(r.cell_key for r in group.records)
            rows.append(Row(values, keys, status=record.status))
    return rows


def _notes(arm: str, records: list[Record]) -> tuple[str, ...]:
    return (
        protocol_line(records),
        f"difference to arm '{arm}' at the values that it sweeps, paired by seed "
        f"[{caption(PairedDifference)}]; curves: averaged over the budgets that both have",
        "better, worse: significant at 5 % with p corrected by Holm over the systems of a "
        "metric; no word: no difference shown",
    )
