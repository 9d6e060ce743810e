"""The figure of chosen budgets against the complexity of images."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.statistics.bootstrap import BootstrapInterval
from bench.statistics.intervals import StudentInterval
from reports.analysis.allocations import claim_colours, natural
from reports.analysis.correlation import SpearmanInterval
from reports.paper.drawing import legend_below, panel_grid
from reports.paper.style import INK, PAGE_INCHES, color_of, look_of, width_inches
from reports.paper.text import caption

MEASURES = {"complexity": "objects in the scene", "png_bytes": "PNG size (bytes)"}
CORRELATION = "correlation"
ROW_INCHES = 2.1
FILLS = {"complexity": None, "png_bytes": "white"}  # of correlation markers; None: the colour


def draw(data: pd.DataFrame) -> Any:
    """The figure: per tokenizer a panel for each measure, then one of the correlations."""
    claim_colours(data["system"])
    panels = [name for name in (*MEASURES, CORRELATION) if (data["panel"] == name).any()]
    tokenizers = list(data["tokenizer"].unique())
    places = [(tokenizer, panel) for tokenizer in tokenizers for panel in panels]
    inches = 2.2 if len(panels) == 3 else 3.2
    if width_inches() < PAGE_INCHES:  # tokenizers side by side
        places, inches = [(tokenizer, panel) for panel in panels for tokenizer in tokenizers], 1.6
    figure, drawn = panel_grid(len(places), row_inches=ROW_INCHES, inches=inches)
    for axes, (tokenizer, panel) in zip(drawn, places, strict=True):
        shown = data[(data["tokenizer"] == tokenizer) & (data["panel"] == panel)]
        (_draw_correlations if panel == CORRELATION else _draw_means)(axes, shown)
        if len(tokenizers) > 1:
            axes.set_title(tokenizer)
        if panel != CORRELATION:
            axes.set(xlabel=MEASURES[panel], ylabel="mean tokens chosen")
            axes.locator_params(axis="x", integer=True, nbins=6)
    _legend(figure, data)
    return figure


def _draw_means(axes: Any, shown: pd.DataFrame) -> None:
    for system, points in shown.groupby("system", sort=False):
        points = points.sort_values("x")
        bars = [points["y"] - points["low"], points["high"] - points["y"]]
        style = {**look_of(system), "ms": 3, "mew": 0, "lw": 0.9, "zorder": 3}
        axes.plot(points["x"], points["y"], **style)
        line = {"fmt": "none", "ecolor": color_of(system), "elinewidth": 0.7, "zorder": 2}
        axes.errorbar(points["x"], points["y"], bars, **line)


def _draw_correlations(axes: Any, shown: pd.DataFrame) -> None:
    """A line per system, in the order of the legend."""
    systems = list(shown["system"].unique())
    measures = list(shown["against"].unique())
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    for row in shown.itertuples():
        aside = (measures.index(row.against) + 0.5) / len(measures) - 0.5
        y = systems.index(row.system) + 0.5 * aside
        style = {**look_of(row.system)}
        if row.kind == "seed":
            axes.plot(row.y, y, ".", color=style["color"], ms=2.5, mew=0, zorder=4)
            continue
        fill = FILLS[row.against] or style["color"]
        axes.plot(row.y, y, **style, ms=4, mfc=fill, mew=0.8, ls="", zorder=3)
        if pd.notna(row.low):
            bars = [[row.y - row.low], [row.high - row.y]]
            line = {"fmt": "none", "ecolor": style["color"], "elinewidth": 0.8, "zorder": 2}
            axes.errorbar([row.y], [y], xerr=bars, **line)
    axes.set_yticks([])
    axes.set_ylim(len(systems) - 0.5, -0.5)
    axes.set_xlabel("Spearman correlation")


def _legend(figure: Any, data: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], **look_of(system), ms=4, lw=0.9, label=system)
        for system in sorted(data["system"].unique(), key=natural)
    ]
    words = {"complexity": "correlation with objects", "png_bytes": "correlation with PNG size"}
    rho = data[data["panel"] == CORRELATION]
    for measure in MEASURES:
        if (rho["against"] == measure).any():
            style = {"color": INK, "marker": "o", "ms": 4, "mew": 0.8, "ls": ""}
            fill = FILLS[measure] or INK
            handles.append(Line2D([], [], **style, mfc=fill, label=words[measure]))
    kinds = []
    if (data["over"] == "seeds").any():
        kinds.append(caption(StudentInterval))
    if (data["over"] == "images").any():
        kinds.append(f"{caption(BootstrapInterval)} (correlations: {SpearmanInterval.method})")
    title = f"bars: {'; one seed: '.join(kinds)}" if kinds else None
    legend_below(figure, handles=handles, title=title)
