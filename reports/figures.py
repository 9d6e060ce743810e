"""What the figures share: files written aside, axes of budgets, legends, looks of series."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from reports.style import MARKERS, PALETTE, paper_style

COLLAPSED, UNTRAINED = "collapsed", "length never trained"


def render(
    folder: Path, name: str, data: pd.DataFrame, draw: Callable[[pd.DataFrame], Any]
) -> list[Path]:
    """Write `name.png` and `name.pdf` of `draw(data)`, and `name.csv` of the data that is drawn.

    Each file is written aside, then renamed into place. The same data gives the same files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.{kind}" for kind in ("png", "pdf", "csv")]
    with paper_style():
        figure = draw(data)
        # No dates and no versions in the files.
        _write(files[0], lambda aside: figure.savefig(aside, metadata={"Software": None}))
        _write(files[1], lambda aside: figure.savefig(aside, metadata={"CreationDate": None}))
    write_csv(folder, name, data)
    return files


def write_csv(folder: Path, name: str, data: pd.DataFrame) -> Path:
    """Write `name.csv` aside, then rename it into place."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    _write(path, lambda aside: data.to_csv(aside, index=False))
    return path


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    write(aside)
    os.replace(aside, path)


def look(index: int) -> dict[str, Any]:
    """Colour and marker of the series number `index`; none twice among the first 36."""
    marker = MARKERS[(index + index // len(PALETTE)) % len(MARKERS)]
    return {"color": PALETTE[index % len(PALETTE)], "marker": marker}


def budget_axis(axes: Any, budgets: Iterable[float]) -> None:
    """A log2 x axis in tokens, with a tick at each budget."""
    from matplotlib.ticker import NullLocator

    budgets = sorted(budgets)
    axes.set_xscale("log", base=2)
    axes.set_xticks(budgets, [f"{budget:g}" for budget in budgets])
    axes.xaxis.set_minor_locator(NullLocator())


def legend_below(figure: Any, *, ncols: int = 2, title: str | None = None) -> None:
    """One legend for all axes, under them; each label once, in the order it was drawn."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=ncols, title=title
    )


def legend_inches(entries: int, *, ncols: int = 2) -> float:
    """Height that a legend of so many entries takes."""
    return 0.16 * -(-entries // ncols) + 0.1
