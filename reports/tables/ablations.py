"""Ablations: every arm against the suite's reference arm, paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.compare.paired import Difference
from bench.metrics.declared import METRICS, QUALITIES, without_stand_ins
from bench.statistics.intervals import PairedDifference
from reports.analysis.comparisons import Comparison, compare, reference_arm
from reports.analysis.groups import (
    Group,
    Record,
    group_by_seed,
    is_allocation,
    protocol_line,
    reconstructions,
    with_results,
)
from reports.paper.text import caption, show_significant
from reports.tables.declared import TableReport
from reports.tables.table import (
    NOT_MEASURED,
    WORDS,
    Column,
    Row,
    Table,
    Value,
    compared,
    remark_column,
    words,
)

NAME, TITLE = "ablations", "Ablations"
MEASURES = (*QUALITIES, "mean_tokens", "allocation_skill")


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
    curves, allocations = (_rows(groups, arm, metrics, allocates=kind) for kind in (False, True))
    rows = [*curves, *allocations, *_unfinished(records, {g.label for g in groups}, arm)]
    if not rows:
        return Table(NAME, TITLE, notes=(f"Not made: no other arm than '{arm}' has a cell.",))
    columns = (
        *(Column("system", "system", WORDS), Column("against", "against", WORDS)),
        Column("seeds", "seeds"),
        *(Column(name, f"Δ {METRICS[name].title}") for name in metrics),
        *remark_column(rows),
    )
    return Table(NAME, TITLE, columns, tuple(rows), _notes(arm, records))


def _metrics(done: Sequence[Record]) -> list[str]:
    """Those that any record has, without stand-ins for another one."""
    names = MEASURES if any(map(is_allocation, done)) else QUALITIES
    return without_stand_ins(m for m in names if any(r.metrics.value(m) is not None for r in done))


def _rows(
    groups: Sequence[Group], arm: str, metrics: Sequence[str], *, allocates: bool
) -> list[Row]:
    """Curves against curves, or allocations against allocations; p by metric, over all of them."""
    same = [group for group in groups if is_allocation(group.records[0]) == allocates]
    names = metrics if allocates else [name for name in metrics if name in QUALITIES]
    by_metric = [compare(same, arm, metric) for metric in names]
    return [_row(dict(zip(names, each, strict=True))) for each in zip(*by_metric, strict=True)]


def _row(by_metric: Mapping[str, Comparison]) -> Row:
    one = next(iter(by_metric.values()))
    seeds = max(len(each.difference.seeds) for each in by_metric.values())
    remark = "one training each: no interval" if seeds == 1 else ""
    if seeds == 0:
        remark = "no seed or no length in common with the reference arm"
    if one.reference is None:
        remark = "no counterpart in the reference arm"
    values = {
        "system": words(one.label),
        "against": words(one.against),
        "seeds": Value(str(seeds), seeds),
        "remark": words(remark),
    }
    if one.reference is not None:
        values |= {name: _value(name, each.difference) for name, each in by_metric.items()}
    of = [*one.group.records, *(one.reference.records if one.reference else ())]
    return Row(values, tuple(record.cell_key for record in of))


def _value(name: str, one: Difference) -> Value:
    if one.interval is None:
        return Value(NOT_MEASURED)
    text = show_significant(one.interval, digits=3).removesuffix(" (one seed)")
    value = compared(text if text.startswith("-") else f"+{text}", one.interval, one)
    return replace(value, verdict="") if name == "mean_tokens" else value


def _unfinished(records: Sequence[Record], shown: set[str], arm: str) -> list[Row]:
    rows = []
    for group in group_by_seed(list(records)):
        record = group.records[0]
        if group.label not in shown and record.arm != arm:
            remark = words(f"{record.status}: {record.error or 'not run'}")
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


REPORT = TableReport(title=TITLE, place=20, build=table)
