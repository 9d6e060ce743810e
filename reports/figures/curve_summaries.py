"""Elastic tokenizers in one number each: BD-rate, area, hypervolume, against the reference arm."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from bench.compare.curve_summaries import LEAST_OVERLAP, LEAST_POINTS, METHOD
from bench.metrics.declared import METRICS
from bench.records.report_plugins import Figure, Report
from bench.records.tables import as_text, format_value
from bench.statistics.intervals import PairedDifference, StudentInterval, holm, student_interval
from bench.statistics.power import minimum_detectable_effect
from reports.analysis.comparisons import reference_arm
from reports.analysis.curve_rows import Row, summary_rows
from reports.analysis.groups import Record, done_records, group_by_seed, is_elastic
from reports.paper.drawing import write_csv
from reports.paper.text import caption, page, show_p, unfinished

COLUMNS = ["group", "against", "metric", "summary", "rate", "kind", "seed", "value", "low", "high",
           "n", "over", "p", "detectable", "points", "overlap", "reference_rate",
           "reference_quality", "remark"]  # fmt: skip
ABOUT = (
    f"Curves over trained lengths, one seed at a time, then [{caption(StudentInterval)}]\n"
    f"BD: change in rate at equal quality, negative is cheaper ({METHOD} interpolation; "
    f"{LEAST_POINTS} points and {LEAST_OVERLAP:.0%} overlap or more)\n"
    "AUC: area over log2 of the rate; hypervolume: octaves below twice the reference arm's largest "
    "rate, times quality above its mean at the smallest\n"
    "quality: PSNR and the like as they are, minus the natural logarithm of a distance; larger is "
    "better\n"
    "detectable: the difference that so many seeds find with a chance of 80 %; p by Holm over all "
    "rows shown"
)
SAME = ("group", "against", "metric", "summary", "rate", "points", "overlap", "remark")
SAME_PRICE = "Bits: as tokens, since a token costs the same in all of these; they are in the CSV"


def report(records: list[Record], folder: Path) -> Report:
    """Write `curve_summaries.csv`; a table per metric as text."""
    groups = group_by_seed([*filter(is_elastic, done_records(records))])
    failed, arm = unfinished(records), reference_arm(records)
    if arm is None:
        return Report(text=page("Curve summaries: the suite names no reference_arm", failed))
    rows = summary_rows(groups, arm)
    if not rows:
        return Report(text=page(f"Curve summaries: arm '{arm}' has no elastic result yet", failed))
    path = write_csv(folder, "curve_summaries", summary_data(rows))
    return Report([path], page(ABOUT, *_tables(rows), failed))


def summary_data(rows: list[Row]) -> pd.DataFrame:
    """A line per seed, one of their mean, and one of the difference; see `COLUMNS`.

    `p` is uncorrected; a hypervolume stands beside its reference.
    """
    lines = []
    for row in rows:
        same = {name: getattr(row, name) for name in SAME} | {
            "reference_rate": row.reference and row.reference.rate,
            "reference_quality": row.reference and row.reference.quality,
        }
        lines += [
            {**same, "kind": "seed", "seed": seed, "value": value}
            for seed, value in row.values.items()
        ]
        over = student_interval(list(row.values.values())) if row.values else None
        if row.summary != "BD":
            lines.append({**same, "kind": "mean", **_interval(over)})
        if row.against is not None:
            more = {"p": _p(row), "detectable": _detectable(row)}
            lines.append({**same, "kind": "difference", **_interval(row.difference), **more})
    return pd.DataFrame(lines, columns=COLUMNS)


def _interval(over: StudentInterval | None) -> dict[str, Any]:
    if over is None:
        return {}
    return {"value": over.mean, "low": over.low, "high": over.high, "n": over.n, "over": over.over}


def _p(row: Row) -> float:
    return math.nan if row.difference is None else row.difference.p


def _detectable(row: Row) -> float:
    over: PairedDifference | None = row.difference
    return math.nan if over is None else minimum_detectable_effect(over.sd, over.n)


def _tables(rows: list[Row]) -> list[str]:
    prices = {row.bits_per_token for row in rows}
    shown = rows if len(prices) > 1 else [row for row in rows if row.rate == "tokens"]
    adjusted = dict(zip(map(id, shown), holm([_p(row) for row in shown]), strict=True))
    blocks = []
    for metric in dict.fromkeys(row.metric for row in shown):
        lines = [_line(row, adjusted[id(row)]) for row in shown if row.metric == metric]
        blocks.append(f"{METRICS[metric].caption}\n{as_text(lines)}")
    return blocks + ([SAME_PRICE] if len(shown) < len(rows) else [])


def _line(row: Row, p: float) -> dict[str, Any]:
    percent = " %" if row.summary == "BD" else ""
    own = row.values and row.summary != "BD"
    detectable = _detectable(row)
    return {
        "system": row.group,
        "summary": f"{row.summary}-{row.rate}" if percent else f"{row.summary}, {row.rate}",
        "seeds": len(row.values),
        "value": _show(student_interval(list(row.values.values()))) if own else "-",
        "against the reference": _show(row.difference, percent),
        "p (Holm)": show_p(p),
        "detectable": "-" if math.isnan(detectable) else f"{format_value(detectable)}{percent}",
        "points": row.points,
        "overlap": "-" if row.overlap is None else f"{row.overlap:.0%}",
        "remark": row.remark or "",
    }


def _show(over: StudentInterval | None, unit: str = "") -> str:
    """`-12.3 % [-14.1, -10.5]` to four significant digits."""
    if over is None:
        return "-"
    if over.n == 1:
        return f"{format_value(over.mean)}{unit} (one seed)"
    return f"{format_value(over.mean)}{unit} [{format_value(over.low)}, {format_value(over.high)}]"


REPORT = Figure(title="Curves in one number each", place=60, draw=report)
