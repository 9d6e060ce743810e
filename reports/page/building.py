"""A report made of records: figures, tables, and the page that shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.files import write_text
from bench.records.report_plugins import Figure, declared
from reports.analysis.suites import Part
from reports.page.drawing import draw
from reports.page.output import FIGURES, PAGE, TABLES, new_report
from reports.page.page import Chapter, page_text
from reports.paper.style import Size, paper_style
from reports.tables.declared import TableReport, write_table


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

    `out` is a folder that does not exist, or holds an earlier report. Galleries lie in the `store`;
    `published` are results of others for the Pareto figure, a YAML. `say` is told of progress.

    Raises:
        UserError: `out` holds something else, or `published` cannot be used.
    """
    chapters, broken = [], []
    with new_report(out) as folder, paper_style(width):
        for part in parts:
            say(f"{part.name}: {len(part.records)} cells")
            there = folder / FIGURES / part.name
            figures = [
                draw(one, one.shown(part.records), there, store=store, published=published)
                for one in declared(Figure).values()
            ]
            tables = [
                one.table(one.shown(part.records), store=store)
                for one in declared(TableReport).values()
            ]
            for table in tables:
                write_table(table, folder / TABLES / part.name)
            chapters.append(Chapter(part, tuple(figures), tuple(tables)))
            broken += [f"{part.name}: {one.report.text.strip()}" for one in figures if one.failed]
        write_text(folder / PAGE, page_text(chapters, store))
    return Built(out / PAGE, tuple(broken))
