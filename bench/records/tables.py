"""Rows of results, and their text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from bench.metrics.declared import FAMILIES, LISTED, MAIN
from bench.records.record import Record

MOST = 6
GAP = "  "
# Words narrower than this are no pleasure to read.
NARROWEST = 24
# Signs that Markdown reads, `_` only where it is not within a word, `]` only where it ends a link.
_INLINE = re.compile(r"[\\|*`<&$~#]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])")
# Signs that make a block of the line that they begin: a list, a quotation, a rule.
_LEADING = re.compile(r"^(\d{1,9}(?=[.)]\s)|(?=>|[-+]\s|--))")


def result_rows(
    records: Sequence[Record],
    metrics: Sequence[str] = (),
    extra: Mapping[str, dict[str, Any]] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """One row per record with these `metrics`; without any, the usual ones that any record has.

    `extra` are further values of a row by the cell's key.
    """
    shown = metrics or _usual(records)
    rows: list[dict[str, Any]] = []
    for record in sorted(records, key=lambda record: record.label):
        row = {"key": record.cell_key, "status": record.status, "cell": record.label}
        row |= extra.get(record.cell_key, {})
        values = {name: record.metrics.root.get(name) for name in shown}
        rows.append({**row, **values, **({"error": record.error} if record.error else {})})
    return rows


def _usual(records: Sequence[Record]) -> list[str]:
    """The listed metrics that any record has, those of families last."""
    known = _known(records)
    families = [prefix for prefix, one in FAMILIES.items() if one.listed]
    single = [name for name in LISTED if name in known]
    return single + [n for prefix in families for n in known if n.startswith(prefix)]


def _known(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record.metrics))


def result_text(
    records: Sequence[Record],
    metrics: Sequence[str],
    *,
    width: int,
    extra: Mapping[str, dict[str, Any]] = MappingProxyType({}),
) -> str:
    """Cells with these `metrics` for a terminal: no keys, a status only if one is not done."""
    rows = result_rows(records, metrics, extra)
    hidden = {"key"} | ({"status"} if all(row["status"] == "done" for row in rows) else set())
    return as_text([{n: v for n, v in row.items() if n not in hidden} for row in rows], width=width)


def main_metrics(records: Sequence[Record]) -> tuple[list[str], list[str]]:
    """The metrics of these records that a terminal has room for, and the others."""
    known = _known(records)
    main = [name for name in MAIN if name in known] or known
    main = main[:MOST]
    return main, [name for name in known if name not in main]


def columns_of(rows: list[dict[str, Any]]) -> list[str]:
    """The union of the rows' keys, in their order."""
    return list(dict.fromkeys(name for row in rows for name in row))


def as_text(rows: list[dict[str, Any]], *, width: int | None = None, keys: int = 1) -> str:
    """Rows as an aligned table, numbers to the right.

    With a `width`, columns of words are wrapped to fit it, and columns that find no room follow as
    further tables below, each with the first `keys` columns again.
    """
    names = columns_of(rows)
    columns = {name: _Column.of(name, rows) for name in names}
    if width is None or not names:
        return _table([(column, column.widest) for column in columns.values()])
    panels = _panels(list(columns.values()), width, keys)
    return "\n\n".join(_table(panel) for panel in panels)


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table that shows every text as it is, numbers to the right."""
    columns = [_Column.of(name, rows) for name in columns_of(rows)]
    rules = ("---:" if column.numeric else "---" for column in columns)
    cells = [[escaped(column.name) for column in columns], list(rules)]
    cells += [[escaped(column.cells[row]) for column in columns] for row in range(len(rows))]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line, in a table or at the start of a line."""
    return _LEADING.sub(r"\1\\", _INLINE.sub(r"\\\g<0>", " ".join(text.split())))


class _Column:
    """One column: its name, its cells as text, and whether they are numbers."""

    def __init__(self, name: str, cells: list[str], numeric: bool):
        self.name, self.cells, self.numeric = name, cells, numeric
        self.widest = max(map(len, (name, *cells)))

    @staticmethod
    def of(name: str, rows: list[dict[str, Any]]) -> _Column:
        values = [row.get(name) for row in rows]
        return _Column(
            name,
            [format_value(value) for value in values],
            any(isinstance(value, int | float) for value in values),
        )

    def narrowest(self, width: int) -> int:
        """Its least width in a table of `width`.

        Numbers stay whole, below a name that may break at its underscores; words wrap.
        """
        if not self.numeric:
            return min(self.widest, NARROWEST, width // 3)
        return max(map(len, (*_broken(self.name, 1), *self.cells)))

    def lines(self, row: int | None, width: int) -> list[str]:
        """A cell, or the name where `row` is None, in lines of `width`."""
        text = self.name if row is None else self.cells[row]
        if len(text) <= width:
            parts = [text]
        elif self.numeric:
            parts = _broken(text, width)
        else:
            parts = textwrap.wrap(text, width, subsequent_indent=GAP, break_on_hyphens=False)
        return [part.rjust(width) if self.numeric else part.ljust(width) for part in parts]


def _broken(name: str, width: int) -> list[str]:
    """A name in lines of `width`, broken behind underscores only."""
    lines = [""]
    for part in name.replace("_", "_\0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return lines


def _panels(columns: list[_Column], width: int, keys: int) -> list[list[tuple[_Column, int]]]:
    """Columns with their widths, in tables that fit into `width`; the keys are in each of them."""
    first, rest = columns[:keys], columns[keys:]
    panels: list[list[_Column]] = [list(first)]
    for column in rest:
        taken = sum(one.narrowest(width) + len(GAP) for one in panels[-1])
        if len(panels[-1]) > keys and taken + column.narrowest(width) > width:
            panels.append(list(first))
        panels[-1].append(column)
    return [_fitted(panel, width) for panel in panels]


def _fitted(panel: list[_Column], width: int) -> list[tuple[_Column, int]]:
    """The narrowest widths, and what is left given to the words, from the left."""
    widths = [column.narrowest(width) for column in panel]
    left = width - sum(widths) - len(GAP) * (len(panel) - 1)
    for place, column in enumerate(panel):
        more = min(max(left, 0), column.widest - widths[place])
        if not column.numeric or more == column.widest - widths[place]:
            widths[place] += more
            left -= more
    return list(zip(panel, widths, strict=True))


def _table(panel: list[tuple[_Column, int]]) -> str:
    lines = []
    count = len(panel[0][0].cells) if panel else 0
    for row in (None, *range(count)):
        cells = [column.lines(row, width) for column, width in panel]
        height = max(map(len, cells), default=1)
        for number in range(height):
            parts = []
            for (_, width), cell in zip(panel, cells, strict=True):
                # Names stand on their column, values at the top of their row.
                at = number - (height - len(cell)) if row is None else number
                parts.append(cell[at] if 0 <= at < len(cell) else " " * width)
            lines.append(GAP.join(parts).rstrip())
    return "\n".join(lines)


def format_value(value: Any) -> str:
    """A value for a table: four significant digits, a dash for what is absent."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)
