"""`adatok-bench report`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.commands.support.shared import GivenPath, say, store_option, tell


@click.command()
@click.argument("suites", nargs=-1, required=True, metavar="SUITE...")
@click.option(
    "--out",
    required=True,
    type=GivenPath(path_type=Path),
    help="Folder for the report; an earlier report there is replaced.",
)
@store_option
@click.option(
    "--published",
    type=GivenPath(path_type=Path),
    help="YAML of published results, for the Pareto figure.",
)
@click.option(
    "--width",
    type=click.Choice(["column", "page"]),
    default="page",
    show_default=True,
    help="Of the figures: a column (3.4 in) or a page (7.0 in) of a two-column paper.",
)
def report(
    suites: tuple[str, ...], out: Path, store_path: str, published: Path | None, width: str
) -> None:
    """Make all figures, tables and one HTML page of each SUITE, a suite's name or file.

    From records alone: nothing is trained or decoded again. Suites of different protocols are shown
    apart. Exits with 1 where a figure broke; the page then says which.

    \b
    Examples:
      adatok-bench report quickstart --out report
      adatok-bench report settle baselines --out paper --width column
    """
    from reports.analysis.suites import read_parts
    from reports.page.building import build_report

    store = Path(store_path).absolute()
    parts = read_parts(suites, store)
    for part in parts:
        tell(part.name, part.notes)
    built = build_report(parts, out, store=store, published=published, width=width, say=say)
    click.echo(f"report  {built.page}")
    for line in built.broken:
        say(f"error: {line}")
    if built.broken:
        sys.exit(1)
