"""Parts that figures share: files written aside, panels, axes of budgets, legends."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from bench.files import written_aside
from bench.records.report_plugins import Report
from reports.paper.style import paper_style, shown_text, width_inches
from reports.paper.text import page

COLLAPSED, UNTRAINED = "collapsed", "length never trained"
# Of a legend: mean letter and line at its size, and the sample with the gaps around it.
LETTER_INCHES, LINE_INCHES, HANDLE_INCHES = 0.053, 0.158, 0.5


def render(
    folder: Path, name: str, data: pd.DataFrame, draw: Callable[[pd.DataFrame], Any]
) -> list[Path]:
    """Write `name.png` and `name.pdf` of `draw(data)`, and `name.csv` of the data that is drawn.

    Each file is written aside, then renamed into place. The same data gives the same files. What
    `draw` gets are texts that can be drawn; the CSV file has them as they are.
    """

    def shown(value: Any) -> Any:
        return shown_text(value) if isinstance(value, str) else value

    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.{kind}" for kind in ("png", "pdf", "csv")]
    with paper_style():
        texts = data.select_dtypes(["object", "string", "category"]).columns
        figure = draw(data.assign(**{name: data[name].map(shown) for name in texts}))
        # No dates and no versions in the files.
        for path, told in zip(files, ("Software", "CreationDate"), strict=False):
            with written_aside(path) as aside:
                figure.savefig(aside, format=path.suffix[1:], metadata={told: None})
    write_csv(folder, name, data)
    return files


def drawn(
    folder: Path, name: str, data: pd.DataFrame, draw: Callable[[pd.DataFrame], Any], *,
    notes: Iterable[str], none: str, title: str, alt: Callable[[], str],
) -> Report:  # fmt: skip
    """The rendered figure and its notes; words on why there is `none` where there are no data."""
    if data.empty:
        return Report(text=page(none, [*notes]))
    return Report(render(folder, name, data, draw), page([*notes]), title, alt())


def write_csv(folder: Path, name: str, data: pd.DataFrame) -> Path:
    """Write `name.csv` aside, then rename it into place."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    with written_aside(path) as aside:
        data.to_csv(aside, index=False)
    return path


def new_figure(height: float) -> Any:
    """An empty figure of the style's width and `height` inches, without its legends."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inches(), height), layout="constrained")


def panels_across(count: int, *, inches: float = 1.7) -> int:
    """Number of panels side by side, of `count`, each at least `inches` wide, in even rows."""
    most = max(1, min(count, int(width_inches() / inches)))
    return -(-count // -(-count // most))


def panel_grid(count: int, *, row_inches: float, inches: float = 1.7) -> Any:
    """A figure with `count` panels in rows as long as its width allows, and those panels."""
    across = panels_across(count, inches=inches)
    rows = -(-count // across)
    figure = new_figure(row_inches * rows)
    panels = list(figure.subplots(rows, across, squeeze=False).flat)
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def panel_inches(axes: Any) -> float:
    """About how wide a panel is, without its labels."""
    place = axes.get_subplotspec()
    columns = 1 if place is None else place.get_gridspec().ncols
    return axes.figure.get_figwidth() / columns - 0.4


def budget_axis(axes: Any, budgets: Iterable[float]) -> None:
    """A log2 x axis in tokens, with a tick at each budget, named where there is room."""
    from matplotlib.ticker import NullLocator

    budgets = sorted(budgets)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    if not budgets:  # Where none is fixed, ticks are powers of two.
        return
    octaves = [math.log2(budget) for budget in budgets]
    inches = panel_inches(axes) / max(octaves[-1] - octaves[0], 1)
    named = budgets[-1:]
    for budget in reversed(budgets[:-1]):
        letters = (len(f"{budget:g}") + len(f"{named[-1]:g}")) / 2
        if math.log2(named[-1] / budget) * inches > (letters + 1) * LETTER_INCHES:
            named.append(budget)
    axes.set_xticks(budgets, [f"{budget:g}" if budget in named else "" for budget in budgets])


def legend_below(
    figure: Any, *, handles: Iterable[Any] | None = None, title: str | None = None
) -> None:
    """One legend of `handles`, or of all that has a label, once each; the figure grows by it.

    There are as many columns as have room; long labels, and those of the title, are wrapped.
    """
    named: dict[str, Any] = {}
    if handles is None:
        for axes in figure.axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                named.setdefault(label, handle)
    else:
        named = {handle.get_label(): handle for handle in handles}
    width = figure.get_figwidth()
    most = max(8, int((width - HANDLE_INCHES) / LETTER_INCHES))
    longest = max((min(len(label), most) for label in named), default=0)
    ncols = max(1, min(4, int(width / (HANDLE_INCHES + LETTER_INCHES * longest))))
    labels = [wrapped(label, width / ncols - HANDLE_INCHES) for label in named]
    if title is not None:
        title = "\n".join(wrapped(line, width - 0.1) for line in title.splitlines())
    lines = [label.count("\n") + 1 for label in labels]
    rows = max(1, -(-len(lines) // ncols))  # A title may stand alone.
    columns = [sum(lines[first : first + rows]) for first in range(0, len(lines), rows)]
    above = 0 if title is None else title.count("\n") + 1
    height = LINE_INCHES * (max(columns, default=0) + above) + 0.1
    figure.set_figheight(figure.get_figheight() + height)
    figure.legend(named.values(), labels, loc="outside lower center", ncols=ncols, title=title)


def wrapped(text: str, inches: float) -> str:
    """Text in lines of at most so many inches at the legend's size."""
    return textwrap.fill(text, max(8, int(inches / LETTER_INCHES)), break_long_words=False)
