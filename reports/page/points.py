"""The points of the page's Pareto plot: every cell's tokens and metrics, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from bench.metrics.declared import QUALITIES, without_stand_ins
from bench.records.groups import repetition_name
from bench.records.parts import CurveRow, Metrics
from reports.analysis.contenders import Contender, contenders
from reports.analysis.groups import (
    Record,
    has_collapsed,
    is_allocation,
    is_elastic,
    is_policy,
    is_trained_here,
    reconstructions,
    with_results,
)
from reports.analysis.names import control_words, tokenizer_names
from reports.analysis.systems import PRIMARY
from reports.paper.drawing import COLLAPSED, UNTRAINED
from reports.paper.text import caption, show_significant

SHOWN = (PRIMARY, *(name for name in QUALITIES if name != PRIMARY))
FIXED, LENGTH, FOREIGN, POLICY, ALLOCATOR = (
    *("fixed budget", "trained for one length", "external at one length"),
    *("policy", "other allocator"),
)


@dataclass(frozen=True)
class Point:
    """One cell, or one budget of a cell's curve: finite values by metric, intervals in words."""

    cell: str
    name: str
    tokenizer: str
    kind: str
    tokens: float
    values: dict[str, float]
    intervals: dict[str, str]


@dataclass(frozen=True)
class Line:
    """Tokens and values of one metric that are joined: a cell's curve, its mixtures, its oracle."""

    tokenizer: str
    kind: str
    metric: str
    points: tuple[tuple[float, float], ...]


def points(records: Sequence[Record]) -> list[Point]:
    """All points of the finished cells that reconstruct, fixed budgets first."""
    done = reconstructions(with_results(records))
    names = tokenizer_names(done)
    known = {
        (key, contender.budget): contender
        for contender in contenders(done)
        for key in contender.cells
    }
    found = []
    for record in done:
        tokenizer = names[record.cell_key]
        if is_elastic(record):
            rows = [(row.budget, row) for row in record.curve]
        else:
            rows = [(None, record.metrics)]
        for budget, row in rows:
            contender = known.get((record.cell_key, budget)) or known[record.cell_key, None]
            found.append(_point(record, tokenizer, budget, row, contender))
    found = [point for point in found if math.isfinite(point.tokens)]
    return sorted(found, key=lambda point: (point.kind != FIXED, point.tokens))


def _point(
    record: Record, tokenizer: str, budget: int | None, row: Metrics | CurveRow, known: Contender
) -> Point:
    measured = {name: row.value(name) for name in SHOWN}
    values = {name: float(value) for name, value in measured.items() if _finite(value)}
    at = "" if budget is None else f", {budget} tokens kept"
    over = {name: _interval(known, name) for name in values}
    tokens = row.value("mean_tokens")
    return Point(
        cell=record.cell_key,
        name=f"{record.label}{at}",
        tokenizer=tokenizer,
        kind=_kind(record, row),
        tokens=float(tokens) if _finite(tokens) else math.nan,
        values=values,
        intervals=over,
    )


def _finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _kind(record: Record, row: Metrics | CurveRow) -> str:
    if is_allocation(record):
        if has_collapsed(record):
            return COLLAPSED
        return POLICY if is_policy(record) else ALLOCATOR
    if not isinstance(row, CurveRow):
        return LENGTH if is_trained_here(record) else FOREIGN
    return FIXED if row.trained else UNTRAINED


def _interval(contender: Contender, metric: str) -> str:
    """`0.0149 [0.0148, 0.0150], 95 % Student t over 3 policy seeds`, or that there is one seed."""
    over = contender.system.interval(metric)
    if over is None:
        return "not measured"
    if not contender.path:
        return "nothing was trained for it, no interval"
    name = repetition_name(contender.path)
    if over.n == 1:
        return f"one {name.removesuffix('s')}, no interval"
    kind = caption(type(over)).replace("over seeds", f"over {over.n} {name}")
    return f"mean {show_significant(over)}, {kind}"


def lines(records: Sequence[Record], metrics: Sequence[str]) -> list[Line]:
    """Curves over fixed budgets; for distortion the agnostic mixtures and the oracle instead."""
    done = reconstructions(with_results(records))
    names = tokenizer_names(done)
    found = []
    for record in filter(is_elastic, done):
        tokenizer = names[record.cell_key]
        for metric in metrics:
            if metric == PRIMARY and record.trade_offs:
                curves = record.trade_offs.items()
                found += [_line(tokenizer, control_words(n), metric, each) for n, each in curves]
            else:
                curve = [
                    (row.budget, value)
                    for row in record.curve
                    if row.trained and _finite(value := row.value(metric))
                ]
                found.append(_line(tokenizer, FIXED, metric, curve))
    return [line for line in found if len(line.points) > 1]


def _line(tokenizer: str, kind: str, metric: str, pairs: Sequence[Sequence[float]]) -> Line:
    return Line(tokenizer, kind, metric, tuple(sorted((float(x), float(y)) for x, y in pairs)))


def shown_metrics(found: Sequence[Point]) -> list[str]:
    """Metrics that any point has, distortion first, without stand-ins for another one."""
    return without_stand_ins(m for m in SHOWN if any(m in point.values for point in found))
