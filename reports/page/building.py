"""A report made of records: figures, tables, and the page that shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.files import write_text
from reports.analysis.suites import Part
from reports.page.catalogue import FIGURES, TABLES, Drawn, draw, make_table
from reports.page.output import FIGURES as FIGURE_FOLDER
from reports.page.output import PAGE, new_report
from reports.page.output import TABLES as TABLE_FOLDER
from reports.page.page import Chapter, page_text
from reports.paper.style import Size, paper_style
from reports.tables.data import as_csv
from reports.tables.latex import as_latex
from reports.tables.markdown import as_markdown
from reports.tables.table import Table

WRITERS = {"tex": as_latex, "md": as_markdown, "csv": as_csv}


@dataclass(frozen=True)
class Built:
    """Where a report lies, and the figures that broke, as `suite: words`."""

    page: Path
    broken: tuple[str, ...]


def build_report(
    parts: Sequence[Part],
    out: Path,
    *,
    store: Path,
    published: Path | None = None,
    width: Size = "page",
    say: Callable[[str], None] = lambda message: None,
) -> Built:
    """Write a report of all parts to `out`, all at once; the same records give the same bytes.

    Args:
        parts: of the suites, see `read_parts`.
        out: a folder that does not exist, or holds an earlier report.
        store: where the records' galleries lie.
        published: results of others for the Pareto figure, a YAML.
        width: of the figures, of a two-column paper.
        say: progress.

    Raises:
        UserError: `out` holds something else, or `published` cannot be used.
    """
    chapters, broken = [], []
    with new_report(out) as folder, paper_style(width):
        for part in parts:
            say(f"{part.name}: {len(part.records)} cells")
            figures = _figures(part, folder / FIGURE_FOLDER / part.name, store, published)
            tables = _tables(part, folder / TABLE_FOLDER / part.name)
            chapters.append(Chapter(part, tuple(figures), tuple(tables)))
            broken += [f"{part.name}: {one.report.text.strip()}" for one in figures if one.failed]
        write_text(folder / PAGE, page_text(chapters, store))
    return Built(out / PAGE, tuple(broken))


def _figures(part: Part, folder: Path, store: Path, published: Path | None) -> list[Drawn]:
    records = list(part.records)
    return [draw(entry, records, folder, store=store, published=published) for entry in FIGURES]


def _tables(part: Part, folder: Path) -> list[Table]:
    tables = [make_table(name, list(part.records)) for name in TABLES]
    for table in tables:
        if table.rows:
            for ending, write in WRITERS.items():
                write_text(folder / f"{table.name}.{ending}", write(table))
    return tables
