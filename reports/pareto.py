"""The Pareto figure: quality against mean tokens, with everything an allocation must beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bench.metric_info import METRICS
from bench.report_plugins import Report
from reports.figures import (
    COLLAPSED,
    UNTRAINED,
    budget_axis,
    legend_below,
    legend_inches,
    look,
    render,
)
from reports.groups import (
    Record,
    allocation_label,
    done_records,
    has_collapsed,
    is_allocation,
    is_elastic,
    is_fixed_length,
    is_policy,
    setting,
    tokenizer_identity,
    tokenizer_label,
)
from reports.style import INK, PAGE_INCHES, QUIET

PANELS = ("mse", "rfid", "fd_lite0")
COLUMNS = ["tokenizer", "series", "kind", "seed", "tokens", "metric", "value", "mark"]
ALLOCATIONS = ("policy", "allocator")
CURVES = {"agnostic": "agnostic mixture", "oracle": "oracle"}


def report(records: list[Record], folder: Path) -> Report:
    """Draw `pareto.png` and `pareto.pdf`, with `pareto.csv` of what is drawn.

    Raises:
        UserError: the records' protocols differ.
    """
    data = pareto_data(done_records(records))
    if data.empty:
        return Report(text="Pareto figure: not drawn, no elastic tokenizer has a result yet")
    return Report(render(folder, "pareto", data, draw))


def pareto_data(records: list[Record]) -> pd.DataFrame:
    """Everything that is drawn, one row per point; see `COLUMNS`.

    `kind` is `fixed budget`, `fixed length`, `policy`, `allocator`, or a curve: `agnostic mixture`,
    `oracle`; `mark` is `collapsed` of an allocation, or `length never trained` of a fixed budget.
    """
    rows: list[tuple[Any, ...]] = []
    metrics = [name for name in PANELS if any(name in r["metrics"] for r in records)]
    for elastic in filter(is_elastic, records):
        facet = tokenizer_label(elastic)
        for row in elastic["curve"]:
            mark = "" if row.get("trained", True) else UNTRAINED
            point = (facet, "fixed budget", "fixed budget", None, row["budget"])
            rows += [(*point, metric, row[metric], mark) for metric in metrics]
        for name, curve in elastic["trade_offs"].items():
            rows += [(facet, CURVES[name], CURVES[name], None, t, "mse", d, "") for t, d in curve]
        for record in records:
            values, tokens = record["metrics"], record["metrics"]["mean_tokens"]
            if is_allocation(record) and tokenizer_identity(record) == tokenizer_identity(elastic):
                kind = "policy" if is_policy(record) else "allocator"
                seed = setting(record, "policy.seed" if kind == "policy" else "evaluation.seed")
                mark = COLLAPSED if has_collapsed(record) else ""
                point = (facet, allocation_label(record), kind, seed, tokens)
            elif is_fixed_length(record):
                mark = ""
                point = (facet, "trained for one length", "fixed length", None, tokens)
            else:
                continue
            rows += [(*point, metric, values[metric], mark) for metric in metrics]
    return pd.DataFrame(rows, columns=COLUMNS)


def draw(data: pd.DataFrame) -> Any:
    """The figure: a row of axes per metric, a column per elastic tokenizer."""
    from matplotlib.figure import Figure

    facets, metrics = list(data["tokenizer"].unique()), list(data["metric"].unique())
    series = list(data.loc[data["kind"].isin(ALLOCATIONS), "series"].unique())
    height = 2.1 * len(metrics) + 0.5 + legend_inches(len(series) + 6)
    figure = Figure(figsize=(PAGE_INCHES, height), layout="constrained")
    grid = figure.subplots(len(metrics), len(facets), sharex=True, sharey="row", squeeze=False)
    budgets = sorted(data.loc[data["kind"] == "fixed budget", "tokens"].unique())
    for axes_row, metric in zip(grid, metrics, strict=True):
        for axes, facet in zip(axes_row, facets, strict=True):
            shown = data[(data["tokenizer"] == facet) & (data["metric"] == metric)]
            _draw_axes(axes, shown, series)
            budget_axis(axes, budgets)
    for axes, facet in zip(grid[0], facets, strict=True):
        axes.set_title(facet)
    for axes, metric in zip(grid[:, 0], metrics, strict=True):
        axes.set_ylabel(METRICS[metric].caption)
    for axes in grid[-1]:
        axes.set_xlabel("mean tokens per image")
    legend_below(figure, title="every seed is a point" if series else None)
    return figure


def _draw_axes(axes: Any, shown: pd.DataFrame, allocations: list[str]) -> None:
    for name, dashes in (("agnostic mixture", "-"), ("oracle", "--")):
        curve = shown[shown["kind"] == name].sort_values("tokens")
        if len(curve):
            axes.plot(curve["tokens"], curve["value"], dashes, color=QUIET, label=name, zorder=1)
    fixed = shown[shown["kind"] == "fixed budget"]
    trained = fixed[fixed["mark"] == ""]
    axes.plot(trained["tokens"], trained["value"], "o", color=QUIET, label="fixed budget", zorder=2)
    hollow = fixed[fixed["mark"] == UNTRAINED]
    if len(hollow):
        style = {"mfc": "white", "mec": QUIET, "label": f"fixed budget, {UNTRAINED}"}
        axes.plot(hollow["tokens"], hollow["value"], "o", **style, zorder=2)
    lengths = shown[shown["kind"] == "fixed length"]
    if len(lengths):
        label = "trained for one length"
        axes.plot(
            lengths["tokens"], lengths["value"], "s", color=INK, ms=4.5, label=label, zorder=3
        )
    for index, series in enumerate(allocations):
        points = shown[(shown["series"] == series) & (shown["mark"] == "")]
        style = {**look(index), "ls": "", "ms": 3.5, "mew": 0, "alpha": 0.85}
        axes.plot(points["tokens"], points["value"], **style, label=series, zorder=4)
        crosses = shown[(shown["series"] == series) & (shown["mark"] == COLLAPSED)]
        color = look(index)["color"]
        axes.plot(crosses["tokens"], crosses["value"], "x", color=color, ms=5, zorder=5)
    if (shown["mark"] == COLLAPSED).any():
        axes.plot([], [], "x", color=INK, ms=5, label="collapsed (in its colour)")
