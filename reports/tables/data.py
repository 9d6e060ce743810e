"""A table as CSV: numbers in full, each with its interval in columns of its own."""

from __future__ import annotations

import csv
import io
from typing import Any

from reports.tables.table import NUMBER, Column, Row, Table


def as_csv(table: Table) -> str:
    """The table as CSV.

    A column NAME with intervals is followed by NAME_low, NAME_high and NAME_n; one whose ties are
    marked by NAME_tied; one of differences by what belongs to them, such as NAME_p. `cells` holds
    the keys of the cells that a row comes from.
    """
    sections = any(row.section for row in table.rows)
    lines = [_line(table, row, sections=sections) for row in table.rows]
    names = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _line(table: Table, row: Row, *, sections: bool) -> dict[str, Any]:
    line: dict[str, Any] = {"section": row.section} if sections else {}
    for column in table.columns:
        line |= _values(table, row, column)
    return line | {"status": row.status, "cells": " ".join(row.cells)}


def _values(table: Table, row: Row, column: Column) -> dict[str, Any]:
    value, name = table.shown(row, column), column.name
    everywhere = [table.shown(other, column) for other in table.rows]
    known = column.kind != NUMBER or value.number is None
    found: dict[str, Any] = {name: value.text if known else value.number}
    if any(other.interval is not None for other in everywhere):
        over = value.interval
        found |= {f"{name}_{part}": getattr(over, part, "") for part in ("low", "high", "n")}
    if column.compared:
        found[f"{name}_tied"] = "yes" if value.tied else ""
    for part in dict.fromkeys(part for other in everywhere for part in other.more):
        found[f"{name}_{part}"] = value.more.get(part, "")
    if any(other.verdict for other in everywhere):
        found[f"{name}_verdict"] = value.verdict
    return found
