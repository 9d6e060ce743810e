"""What adaptive lengths make of the speed of generation: ratios by batch, cost by position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bench.report_plugins import Report
from reports.allocations import natural
from reports.figures import legend_below, panel_grid, render, wrapped
from reports.groups import Record
from reports.style import INK, QUIET, look
from reports.text import page, unfinished

MODES = ("ideal", "padded", "bucketed", "refilled")
RATIO, COST = "ratio", "cost"
COLUMNS = ["panel", "system", "weights", "device", "mode", "guidance", "pixels", "x", "y"]
ROW_INCHES = 2.1


def report(records: list[Record], folder: Path) -> Report:
    """Draw `throughput.png`, `.pdf` and `.csv` from records of the kind `throughput`."""
    found = [
        record
        for record in records
        if record["status"] == "done" and record.get("kind") == "throughput"
    ]
    data, notes = throughput_data(found), unfinished(records)
    if data.empty:
        why = "Throughput: not drawn, no throughput cell has a result yet"
        return Report(text=page(why, notes))
    files = render(folder, "throughput", data, draw)
    title = "Speed of generation, adaptive over fixed lengths"
    return Report(files, page(notes) if notes else "", title, _alt(data))


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

    In the panel `ratio`, x is the batch and y adaptive over fixed images per second; in `cost`, x
    is the position in the sequence and y the seconds of its step, as a multiple of the first.
    """
    rows: list[tuple[Any, ...]] = []
    for record in sorted(records, key=lambda record: natural(record["label"])):
        measured = record["throughput"]
        about = record["label"], measured.get("weights", ""), measured.get("device", "")
        for row in measured["rows"]:
            if row.get("ratio") is not None and row.get("arm", "adaptive") == "adaptive":
                kind = row["mode"], bool(row.get("guidance")), bool(row.get("pixels"))
                rows.append((RATIO, *about, *kind, row["batch"], row["ratio"]))
        cost = sorted(measured.get("cost_by_position", []), key=lambda row: row["position"])
        if cost and cost[0]["seconds"] > 0:
            first = cost[0]["seconds"]
            rows += [
                (COST, *about, "", False, False, row["position"], row["seconds"] / first)
                for row in cost
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


def draw(data: pd.DataFrame) -> Any:
    """The figure: per cell a panel of ratios for each way of measuring, then the cost."""
    places = []
    for system in data["system"].unique():
        here = data[data["system"] == system]
        ratios = here[here["panel"] == RATIO]
        for guidance, pixels in sorted(set(zip(ratios["guidance"], ratios["pixels"], strict=True))):
            shown = ratios[(ratios["guidance"] == guidance) & (ratios["pixels"] == pixels)]
            places.append((system, _setting(guidance, pixels), shown))
        cost = here[here["panel"] == COST]
        if len(cost):
            places.append((system, "cost", cost))
    figure, panels = panel_grid(len(places), row_inches=ROW_INCHES, inches=2.2)
    inches = figure.get_figwidth() / panels[0].get_gridspec().ncols - 0.5
    several = data["system"].nunique() > 1
    for axes, (system, what, shown) in zip(panels, places, strict=True):
        (_draw_cost if what == "cost" else _draw_ratios)(axes, shown)
        title = [system] * several + [what if what != "cost" else "cost by position"]
        axes.set_title("\n".join(wrapped(line, inches) for line in title), fontsize=7)
    about = {
        f"{weights or 'unknown'} weights on {device or 'an unknown device'}"
        for weights, device in set(zip(data["weights"], data["device"], strict=True))
    }
    legend_below(figure, title="; ".join(sorted(about)))
    return figure


def _setting(guidance: bool, pixels: bool) -> str:
    with_or_without = "with" if pixels else "without"
    return f"{'guidance' if guidance else 'no guidance'}, {with_or_without} pixel decoding"


def _draw_ratios(axes: Any, shown: pd.DataFrame) -> None:
    from matplotlib.ticker import NullLocator

    axes.axhline(1, color=INK, lw=0.8, zorder=1)
    for index, mode in enumerate(MODES):
        points = shown[shown["mode"] == mode].sort_values("x")
        if points.empty:
            continue
        ideal = mode == "ideal"
        style = {"color": QUIET, "ls": "--"} if ideal else {**look(index - 1), "ms": 3.5}
        axes.plot(points["x"], points["y"], **style, label=mode, zorder=2 + index)
    batches = sorted(shown["x"].unique())
    axes.set_xscale("log", base=2)
    axes.set_xticks(batches, [f"{batch:g}" for batch in batches])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="batch (slots)", ylabel="images/s, adaptive over fixed")


def _draw_cost(axes: Any, shown: pd.DataFrame) -> None:
    points = shown.sort_values("x")
    axes.plot(points["x"], points["y"], color=INK, lw=0.9, label="cost of a step", zorder=2)
    axes.set_ylim(bottom=0)
    axes.set(xlabel="position in the sequence", ylabel="seconds of a step, first = 1")
