"""Speed of generation with adaptive lengths: ratios by batch, cost by position."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from bench.records.report_plugins import Figure, Report
from reports.analysis.groups import Record
from reports.analysis.names import natural
from reports.paper.drawing import budget_axis, drawn, legend_below, panel_grid, wrapped
from reports.paper.marks import draw_intervals
from reports.paper.style import INK, QUIET, look
from reports.paper.text import unfinished

MODES = ("ideal", "padded", "bucketed", "refilled")
IDEAL = {"color": QUIET, "ls": "--", "marker": "_", "ms": 12}  # a line that one point shows too
RATIO, COST = "ratio", "cost"
COLUMNS = [
    *("panel", "system", "weights", "device", "mode", "batch", "guidance", "pixels"),
    *("x", "y", "low", "high"),
]


def report(records: list[Record], folder: Path) -> Report:
    """Draw `throughput.png`, `.pdf` and `.csv` from records of the kind `throughput`."""
    found = [record for record in records if record.done and record.kind == "throughput"]
    data = throughput_data(found)
    return drawn(
        folder, "throughput", data, draw, notes=unfinished(records),
        none="Throughput: not drawn, no throughput cell has a result yet",
        title="Speed of generation, adaptive over fixed lengths", alt=lambda: _alt(data),
    )  # fmt: skip


def _alt(data: pd.DataFrame) -> str:
    ratios = data[data["panel"] == RATIO]
    parts = []
    for mode in MODES:
        best = ratios[ratios["mode"] == mode]
        if len(best):
            row = best.loc[best["y"].idxmax()]
            parts.append(f"{mode} {row['y']:.2f} at batch {row['x']:g}")
    if not parts:
        return "Seconds of a decoding step by its position in the sequence."
    return (
        "Images per second with adaptive lengths over those with the full length, the largest by "
        f"mode: {', '.join(parts)}."
    )


def throughput_data(records: list[Record]) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`.

    In the panel `ratio`, x is the batch and y adaptive over fixed images per second, with the
    quartiles over rounds where they are known; in `cost`, x is the position in the sequence and y
    the milliseconds of its step.
    """
    rows: list[tuple[Any, ...]] = []
    for record in sorted(records, key=lambda record: natural(record.label)):
        speed = record.generation_speed
        about = record.label, speed.weights, speed.device
        for row in speed.rows:
            if row.arm == "adaptive":
                kind = row.mode, row.batch, row.guidance, row.pixels
                rows.append((RATIO, *about, *kind, row.batch, row.ratio, *row.ratio_quartiles))
        for step in speed.cost_by_position:
            kind = "", step.batch, step.guidance, False
            point = step.position, 1000 * step.seconds, math.nan, math.nan
            rows.append((COST, *about, *kind, *point))
    return pd.DataFrame(rows, columns=COLUMNS)


def draw(data: pd.DataFrame) -> Any:
    """The figure: per cell a panel of ratios for each way of measuring, then the cost."""
    places = []
    for system in data["system"].unique():
        here = data[data["system"] == system]
        ratios = here[here["panel"] == RATIO]
        for guidance, pixels in sorted(set(zip(ratios["guidance"], ratios["pixels"], strict=True))):
            shown = ratios[(ratios["guidance"] == guidance) & (ratios["pixels"] == pixels)]
            about = (
                f"{'' if guidance else 'no '}guidance, with{'' if pixels else 'out'} pixel decoding"
            )
            places.append((system, about, shown))
        cost = here[here["panel"] == COST]
        if len(cost):
            places.append((system, "cost", cost))
    figure, panels = panel_grid(len(places), row_inches=2.1, inches=2.2)
    inches = figure.get_figwidth() / panels[0].get_gridspec().ncols - 0.5
    several = data["system"].nunique() > 1
    for axes, (system, what, shown) in zip(panels, places, strict=True):
        (_draw_cost if what == "cost" else _draw_ratios)(axes, shown)
        title = [system] * several + [what if what != "cost" else "cost by position"]
        axes.set_title("\n".join(wrapped(line, inches) for line in title), fontsize=7)
    about = set(data["weights"] + " weights on " + data["device"])
    bars = ["bars: quartiles over rounds"] if data["low"].notna().any() else []
    legend_below(figure, title="; ".join([*sorted(about), *bars]))
    return figure


def _draw_ratios(axes: Any, shown: pd.DataFrame) -> None:
    axes.axhline(1, color=INK, lw=0.8, zorder=1)
    for index, mode in enumerate(MODES):
        points = shown[shown["mode"] == mode].sort_values("x")
        if points.empty:
            continue
        style = IDEAL if mode == "ideal" else {**look(index - 1), "ms": 3.5}
        axes.plot(points["x"], points["y"], **style, label=mode, zorder=2 + index)
        draw_intervals(axes, points["x"], points["y"], points, color=style["color"], zorder=2)
    budget_axis(axes, shown["x"].unique())
    axes.set(xlabel="batch (slots)", ylabel="images/s, ratio to fixed")


def _draw_cost(axes: Any, shown: pd.DataFrame) -> None:
    """A line per batch and guidance, darker for larger batches."""
    from matplotlib import colormaps

    batches = sorted(shown["batch"].unique())
    for (guidance, batch), points in shown.groupby(["guidance", "batch"]):
        points = points.sort_values("x")
        place = (batches.index(batch) + 1) / len(batches)
        label = f"step of batch {batch:g}" + (", guidance" if guidance else "")
        style = {"color": colormaps["Greys"](0.3 + 0.7 * place), "ls": ":" if guidance else "-"}
        axes.plot(points["x"], points["y"], **style, lw=0.9, label=label, zorder=2)
    axes.set_ylim(bottom=0)
    axes.set(xlabel="position in the sequence", ylabel="milliseconds of a step")


REPORT = Figure(title="Throughput of generation", place=130, draw=report)
