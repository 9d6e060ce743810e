"""Every cell: its status, seeds and metrics; those without a result say why."""

from __future__ import annotations

import math
from typing import Any

from bench.metrics.declared import LISTED, METRICS
from bench.records.groups import SEEDS
from reports.analysis.groups import Record
from reports.tables.declared import TableReport
from reports.tables.table import NOT_MEASURED, WORDS, Column, Row, Table, Value, number, words

NAME, TITLE = "cells", "Cells"


def table(records: list[Record]) -> Table:
    """A row per cell, in the order of the suite's labels."""
    metrics = [
        name
        for name in LISTED
        if METRICS[name].judged and any(name in record.metrics for record in records)
    ]
    columns = (
        *(Column("cell", "cell", WORDS), Column("status", "status", WORDS)),
        Column("seeds", "seeds", WORDS),
        *(Column(name, METRICS[name].title) for name in metrics),
        Column("record", "record", WORDS),
        *([Column("error", "error", WORDS)] if any(map(_error, records)) else []),
    )
    rows = [_row(record, metrics) for record in sorted(records, key=lambda r: r.label)]
    notes = ("seeds: of data, training, fine-tuning, policy and evaluation, where there are any",)
    return Table(NAME, TITLE, columns, tuple(rows), notes)


def seeds(record: Record) -> dict[str, Any]:
    """The cell's seeds by the part they belong to."""
    found = {path.removesuffix(".seed"): record.setting(path) for path in SEEDS}
    return {name: seed for name, seed in found.items() if seed is not None}


def _row(record: Record, metrics: list[str]) -> Row:
    values = {
        "cell": words(record.label),
        "status": words(record.status),
        "seeds": words(", ".join(f"{name} {seed}" for name, seed in seeds(record).items())),
        "record": words(record.cell_key),
        "error": words(_error(record)),
    }
    if record.done:
        for name in metrics:
            value = record.metrics.value(name)
            known = value is not None and math.isfinite(value)
            values[name] = number(value) if known else Value(NOT_MEASURED)
    return Row(values, (record.cell_key,), status=record.status)


def _error(record: Record) -> str:
    return "" if record.done else record.error or "not run"


REPORT = TableReport(title=TITLE, place=70, build=table, with_stopped=True)
