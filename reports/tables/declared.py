"""Tables as reports: declared by their modules, written as LaTeX, Markdown and CSV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.files import write_text
from bench.records.report_plugins import Declaration, Report
from reports.analysis.groups import Record
from reports.tables.data import as_csv
from reports.tables.latex import as_latex
from reports.tables.markdown import as_markdown
from reports.tables.table import Table

WRITERS = {"tex": as_latex, "md": as_markdown, "csv": as_csv}


@dataclass(frozen=True, kw_only=True)
class TableReport(Declaration):
    """A table: `build(records)` gives a `Table`, without rows where there is nothing to show.

    `takes` names what `build` is given by keyword beside the records: `store`, see `make`.
    """

    build: Callable[..., Table]
    takes: tuple[str, ...] = ()

    @property
    def function(self) -> Callable[..., Table]:
        """`build`."""
        return self.build

    def table(self, records: list[Record], *, store: Path) -> Table:
        """The table of these records."""
        given = {"store": store}
        return self.build(records, **{name: given[name] for name in self.takes})

    def make(
        self, records: list[Record], folder: Path, *, store: Path, published: Path | None = None
    ) -> Report:
        """Write the table to `tables`, if it has rows; its text is Markdown. See `Declaration`."""
        table = self.table(records, store=store)
        return Report(write_table(table, folder / "tables"), as_markdown(table))


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write `NAME.tex`, `NAME.md` and `NAME.csv`; nothing for a table without rows."""
    if not table.rows:
        return []
    texts = {folder / f"{table.name}.{ending}": write(table) for ending, write in WRITERS.items()}
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)
