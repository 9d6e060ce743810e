"""The Pareto figure: quality against mean tokens, with everything an allocation must beat."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from bench.report_plugins import Report
from reports.groups import (
    Record,
    done_records,
    is_elastic,
    is_fixed_length,
    is_policy,
    policy_label,
    tokenizer_identity,
    tokenizer_label,
)
from reports.style import INK, MARKERS, PAGE_INCHES, PALETTE, QUIET, paper_style

METRICS = {"mse": "distortion (MSE)", "rfid": "rFID", "fd_lite0": "FD (Lite0)"}
COLUMNS = ["tokenizer", "series", "kind", "seed", "tokens", "metric", "value"]
CURVES = {"agnostic": "agnostic mixture", "oracle": "oracle"}


def report(records: list[Record], folder: Path) -> Report:
    """Draw `pareto.png` and `pareto.pdf`, with `pareto.csv` of what is drawn.

    Raises:
        UserError: the records' protocols differ.
    """
    data = pareto_data(done_records(records))
    if data.empty:
        return Report(text="Pareto figure: not drawn, no elastic tokenizer has a result yet")
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"pareto.{kind}" for kind in ("png", "pdf", "csv")]
    _write(files[2], lambda path: data.to_csv(path, index=False))
    with paper_style():
        figure = draw(data)
        for path in files[:2]:
            # No dates: the same data gives the same file.
            metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
            _write(path, lambda aside: figure.savefig(aside, metadata=metadata))  # noqa: B023
    return Report(files)


def _write(path: Path, save: Any) -> None:
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    save(aside)
    os.replace(aside, path)


def pareto_data(records: list[Record]) -> pd.DataFrame:
    """Everything that is drawn, one row per point; see `COLUMNS`.

    `kind` is `fixed budget`, `fixed length`, `policy`, or a curve: `agnostic mixture`, `oracle`.
    """
    rows: list[tuple[Any, ...]] = []
    metrics = [name for name in METRICS if any(name in r["metrics"] for r in records)]
    for elastic in filter(is_elastic, records):
        facet = tokenizer_label(elastic)
        for row in elastic["curve"]:
            rows += [
                (facet, "fixed budget", "fixed budget", None, row["budget"], m, row[m])
                for m in metrics
            ]
        for name, curve in elastic["trade_offs"].items():
            rows += [(facet, CURVES[name], CURVES[name], None, t, "mse", d) for t, d in curve]
        for record in records:
            values, tokens = record["metrics"], record["metrics"]["mean_tokens"]
            if is_policy(record) and tokenizer_identity(record) == tokenizer_identity(elastic):
                seed = record["settings"]["policy"]["seed"]
                series = policy_label(record)
                rows += [(facet, series, "policy", seed, tokens, m, values[m]) for m in metrics]
            elif is_fixed_length(record):
                series = "trained for one length"
                rows += [
                    (facet, series, "fixed length", None, tokens, m, values[m]) for m in metrics
                ]
    return pd.DataFrame(rows, columns=COLUMNS)


def draw(data: pd.DataFrame) -> Any:
    """The figure: a row of axes per metric, a column per elastic tokenizer."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    facets, metrics = list(data["tokenizer"].unique()), list(data["metric"].unique())
    policies = list(data.loc[data["kind"] == "policy", "series"].unique())
    legend_rows = (len(policies) + 5) // 2
    height = 2.1 * len(metrics) + 0.7 + 0.16 * legend_rows
    figure = Figure(figsize=(PAGE_INCHES, height), layout="constrained")
    grid = figure.subplots(len(metrics), len(facets), sharex=True, sharey="row", squeeze=False)
    budgets = sorted(data.loc[data["kind"] == "fixed budget", "tokens"].unique())
    for axes_row, metric in zip(grid, metrics, strict=True):
        for axes, facet in zip(axes_row, facets, strict=True):
            shown = data[(data["tokenizer"] == facet) & (data["metric"] == metric)]
            _draw_axes(axes, shown, policies)
            axes.set_xscale("log", base=2)
            axes.set_xticks(budgets, [f"{budget:g}" for budget in budgets])
            axes.xaxis.set_minor_locator(NullLocator())
    for axes, facet in zip(grid[0], facets, strict=True):
        axes.set_title(facet)
    for axes, metric in zip(grid[:, 0], metrics, strict=True):
        axes.set_ylabel(f"{METRICS[metric]}, lower is better")
    for axes in grid[-1]:
        axes.set_xlabel("mean tokens per image")
    handles: dict[str, Any] = {}
    for axes in grid.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=2,
        title="every policy seed is a point" if policies else None,
    )
    return figure


def _draw_axes(axes: Any, shown: pd.DataFrame, policies: list[str]) -> None:
    for name, dashes in (("agnostic mixture", "-"), ("oracle", "--")):
        curve = shown[shown["kind"] == name].sort_values("tokens")
        if len(curve):
            axes.plot(curve["tokens"], curve["value"], dashes, color=QUIET, label=name, zorder=1)
    fixed = shown[shown["kind"] == "fixed budget"]
    axes.plot(fixed["tokens"], fixed["value"], "o", color=QUIET, label="fixed budget", zorder=2)
    lengths = shown[shown["kind"] == "fixed length"]
    if len(lengths):
        label = "trained for one length"
        axes.plot(
            lengths["tokens"], lengths["value"], "s", color=INK, ms=4.5, label=label, zorder=3
        )
    for index, series in enumerate(policies):
        points = shown[shown["series"] == series]
        axes.plot(
            points["tokens"],
            points["value"],
            MARKERS[(index + index // len(PALETTE)) % len(MARKERS)],
            color=PALETTE[index % len(PALETTE)],
            ms=3.5,
            mew=0,
            alpha=0.85,
            label=series,
            zorder=4,
        )
