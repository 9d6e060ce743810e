"""The figure of the baselines: quality against tokens, and what each allocator gains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.statistics.intervals import StudentInterval, student_interval
from reports.analysis.entries import ALL_TOKENS, ONE_LENGTH, PATH, Entry
from reports.analysis.groups import Record, is_elastic, setting
from reports.analysis.systems import DISTANCES, PRIMARY, difference
from reports.paper.drawing import budget_axis, legend_below, new_figure, panel_inches, wrapped
from reports.paper.style import INK, QUIET, look_of

COLUMNS = ["panel", "tokenizer", "allocator", "kind", "seed", "x", "y", "low", "high", "n"]
QUALITY, GAIN = "quality", "gain"
ROW_INCHES = 0.3


def baselines_data(found: Sequence[Entry], records: Sequence[Record]) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`.

    Panel `quality`: mean tokens and distortion of fixed budgets (`curve`), single lengths
    (`length`) and allocations. Panel `gain`: x is an allocation's distortion in % of the mixture
    that ignores the image at the same mean tokens, with its interval over training seeds.
    """
    rows: list[tuple[Any, ...]] = []
    nothing = (math.nan, math.nan)
    for name in dict.fromkeys(entry.tokenizer for entry in found):
        rows += [
            (QUALITY, name, "fixed budget", "curve", None, budget, over.mean, *nothing, over.n)
            for budget, over in _curve(name, records)
        ]
    for entry in found:
        tokens, error = (entry.system.interval(m) for m in ("mean_tokens", PRIMARY))
        if tokens is None or error is None or entry.allocator == ALL_TOKENS:
            continue
        kind = "length" if entry.allocator == ONE_LENGTH else "allocation"
        at = (entry.tokenizer, entry.allocator)
        point = (tokens.mean, error.mean, *nothing, error.n)
        rows.append((QUALITY, *at, kind, None, *point))
        gain = difference(entry.system, entry.agnostic, PRIMARY)
        over = gain.share()
        if over is None:
            continue
        bounds = (100 * over.low, 100 * over.high, over.n)
        rows.append((GAIN, *at, "mean", None, 100 * over.mean, math.nan, *bounds))
        rows += [
            (GAIN, *at, "seed", seed, 100 * share, math.nan, *nothing, 1)
            for seed, share in gain.shares().items()
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _curve(name: str, records: Sequence[Record]) -> list[tuple[int, StudentInterval]]:
    """Distortion at each trained budget, over training seeds."""
    values: dict[int, dict[Any, float]] = {}
    for record in records:
        if is_elastic(record) and record["arm"] == name:
            for row in record["curve"]:
                if row.get("trained", True):
                    seed = setting(record, PATH)
                    values.setdefault(row["budget"], {})[seed] = row[PRIMARY]
    return [(b, student_interval(list(each.values()))) for b, each in sorted(values.items())]


def draw(data: pd.DataFrame) -> Any:
    """Quality against tokens above; below, a row per allocator and a colour per tokenizer."""
    names = list(data["tokenizer"].unique())
    styles = {name: look_of(name) for name in names}
    gains = data[data["panel"] == GAIN]
    allocators = list(gains["allocator"].unique())
    heights = [2.6] + ([ROW_INCHES * len(allocators) + 0.5] if allocators else [])
    figure = new_figure(sum(heights) + 0.2)
    panels = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_quality(panels[0], data[data["panel"] == QUALITY], styles)
    if allocators:
        _draw_gains(panels[1], gains, allocators, styles)
    intervals = (gains["n"] > 1).any()
    title = "below: dots are training seeds, bars 95 % Student t over them" if intervals else None
    legend_below(figure, title=title)
    return figure


def _draw_quality(axes: Any, shown: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    for name, style in styles.items():
        of_it = shown[shown["tokenizer"] == name]
        curve = of_it[of_it["kind"] == "curve"]
        if len(curve):
            axes.plot(curve["x"], curve["y"], **style, mfc="white", ms=3.5, label=name, zorder=2)
        length = of_it[of_it["kind"] == "length"]
        if len(length):
            axes.plot(length["x"], length["y"], **style, ls="", ms=6, label=name, zorder=3)
        chosen = of_it[of_it["kind"] == "allocation"]
        axes.plot(chosen["x"], chosen["y"], ".", color=style["color"], ms=4, mew=0, zorder=4)
    for kind, label, mark in (
        ("curve", "fixed budgets of an elastic tokenizer", {"marker": "o", "mfc": "white"}),
        ("allocation", "an allocator's choice", {"marker": ".", "ls": "", "ms": 5}),
    ):
        if (shown["kind"] == kind).any():
            axes.plot([], [], color=QUIET, label=label, **mark)
    budget_axis(axes, sorted({x for x in shown.loc[shown["kind"] != "allocation", "x"]}))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 4, 6, 8)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="mean tokens per image", ylabel=f"{DISTANCES[PRIMARY]}, lower is better")


def _draw_gains(
    axes: Any, shown: pd.DataFrame, allocators: list[str], styles: dict[str, dict[str, Any]]
) -> None:
    names = [name for name in styles if (shown["tokenizer"] == name).any()]
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    for row in shown.itertuples():
        aside = (names.index(row.tokenizer) + 0.5) / len(names) - 0.5
        y = allocators.index(row.allocator) + 0.7 * aside
        style = styles[row.tokenizer]
        if row.kind == "seed":
            axes.plot(row.x, y, ".", color=style["color"], ms=3, mew=0, alpha=0.7, zorder=2)
        else:
            bars = [[row.x - row.low], [row.high - row.x]] if row.n > 1 else None
            line = {"ms": 3.5, "mfc": "white", "lw": 0.8, "capsize": 1.5, "ls": ""}
            axes.errorbar([row.x], [y], xerr=bars, **style, **line, zorder=3)
    axes.set_yticks(range(len(allocators)), allocators)
    axes.set_ylim(len(allocators) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    for edge in range(1, len(allocators)):
        axes.axhline(edge - 0.5, color="#e6e6e6", lw=0.5, zorder=0)
    label = "distortion against the best mixture that ignores the image, same tokens (%)"
    axes.set_xlabel(wrapped(label, 0.6 * panel_inches(axes)))
