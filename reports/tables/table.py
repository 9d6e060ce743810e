"""A table before it is written: columns, rows, and values that know their number and interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.compare.paired import Difference
from bench.records.tables import format_value
from bench.statistics.intervals import StudentInterval
from reports.paper.text import show_significant

ABSENT, NOT_MEASURED = "-", "not measured"
NUMBER, WORDS = "number", "words"


@dataclass(frozen=True)
class Column:
    """`name` heads it in the CSV, `title` for people; `compared` where ties are marked in it."""

    name: str
    title: str
    kind: str = NUMBER
    compared: bool = False


@dataclass(frozen=True)
class Value:
    """A value at one place: `text` for people; `number` sorts, and is what the CSV holds.

    `tied` marks the best of a family and what is not significantly worse; `verdict` is `better`
    or `worse` of a difference that is shown to be so; `more` goes into further CSV columns.
    """

    text: str
    number: float | None = None
    interval: StudentInterval | None = None
    tied: bool = False
    verdict: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """Values by column name, and the keys of the cells that they come from.

    Rows of one `section` stand together under it; `status` is that of its cells where they have no
    result.
    """

    values: dict[str, Value]
    cells: tuple[str, ...] = ()
    section: str = ""
    status: str = "done"


@dataclass(frozen=True)
class Table:
    """Rows under columns. `notes` say what the numbers are; without rows they say why not."""

    name: str
    title: str
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def sections(self) -> list[tuple[str, list[Row]]]:
        """Rows by section, in the order of their first rows."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.section, []).append(row)
        return list(found.items())

    def shown(self, row: Row, column: Column) -> Value:
        """The value at a place; a dash where nothing applies."""
        return row.values.get(column.name, Value(ABSENT))


def remark_column(rows: Iterable[Row]) -> list[Column]:
    """A column `remark`, if any row has one."""
    known = any(row.values["remark"].text for row in rows)
    return [Column("remark", "remark", WORDS)] if known else []


def words(text: str) -> Value:
    """A value that is no number."""
    return Value(text)


def number(value: float | None, text: str | None = None) -> Value:
    """A number without an interval; `not measured` where there is none."""
    if value is None or math.isnan(value):
        return Value(NOT_MEASURED)
    return Value(format_value(value) if text is None else text, float(value))


def measured(over: StudentInterval | None, *, planned: int, tied: bool = False) -> Value:
    """A mean with its interval; says its own n where it is not `planned`, that of the row."""
    if over is None:
        return Value(NOT_MEASURED)
    text = show_significant(over).removesuffix(" (one seed)")
    if over.mean.is_integer() and not over.low < over.high:
        text = f"{over.mean:g}"
    if over.n != planned:
        text += f" (n = {over.n})"
    return Value(text, over.mean, over, tied=tied)


def compared(text: str, over: StudentInterval, one: Difference) -> Value:
    """A difference as this text: with its interval, its p in the CSV, its verdict where shown."""
    p = {"p_holm": "" if math.isnan(one.p) else one.p}
    return Value(text, over.mean, over, verdict=one.verdict if one.direction else "", more=p)
