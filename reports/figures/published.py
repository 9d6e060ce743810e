"""The figure of published results: hollow markers on an axis of their own metric."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.metrics.declared import METRICS
from bench.records.report_plugins import Report
from reports.analysis.groups import Record, is_allocation, is_elastic
from reports.analysis.names import allocation_label, tokenizer_family
from reports.analysis.published import Published
from reports.paper.drawing import budget_axis, legend_below, new_figure, render
from reports.paper.style import INK, PAGE_INCHES, QUIET, look_of, width_inches

COLUMNS = [
    *("kind", "number", "system", "seed", "tokens", "metric", "value"),
    *("dataset", "source", "confidence", "note"),
]
PUBLISHED = "published"
HEIGHT, PANEL_POINTS = 3.6, 200  # of the figure, and about of its axes
LETTERS_APART = 6.5  # points between two labels
OCTAVES_APART = 0.4  # of tokens, between two columns of labels


def published_report(published: Published, records: list[Record], folder: Path) -> Report:
    """Draw `pareto_published.png`, `.pdf` and `.csv`: published results, and ours of that metric.

    `records` have results. Ours are drawn where they have the metric.
    """
    data = published_data(published, records)
    ours = (data["kind"] != PUBLISHED).any()
    title = f"{METRICS[published.metric].title} of published systems"
    sign = -1 if METRICS[published.metric].higher_is_better else 1
    best = min(published.rows, key=lambda row: row.value * sign)
    alt = (
        f"{len(published.rows)} published results on {published.dataset}, not measured here, as "
        f"hollow markers; the best is {best.system}: {best.value:g} at {best.tokens:g} tokens. "
        + ("Our results of that metric are filled." if ours else "We have none of that metric.")
    )
    return Report(render(folder, "pareto_published", data, draw), "", title, alt)


def published_data(published: Published, records: list[Record]) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`.

    `kind` is `published`, or of ours `fixed budget` or `allocation`.
    """
    rows: list[tuple[Any, ...]] = [
        (PUBLISHED, number, row.system, None, row.tokens, published.metric, row.value,
         published.dataset, row.source, row.confidence, row.note)
        for number, row in enumerate(published.rows, start=1)
    ]  # fmt: skip
    name = published.metric
    for record in records:
        about = ("", "measured here", "", "")
        if is_elastic(record):
            seed = record.setting("training.seed")
            rows += [
                ("fixed budget", None, tokenizer_family(record), seed, row.budget, name,
                 value, *about)
                for row in record.curve
                if (value := row.value(name)) is not None
            ]  # fmt: skip
        elif is_allocation(record) and record.metrics.value(name) is not None:
            value = record.metrics.value
            rows.append(
                ("allocation", None, allocation_label(record), record.setting("policy.seed"),
                 value("mean_tokens"), name, value(name), *about)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def draw(data: pd.DataFrame) -> Any:
    """One panel: value against tokens, both logarithmic; each published system is named."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    metric = data["metric"].iloc[0]
    figure = new_figure(HEIGHT)
    axes = figure.subplots()
    published = data[data["kind"] == PUBLISHED]
    axes.set_yscale("log")
    low, high = data["value"].min() / 1.25, data["value"].max() * 1.25
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    for confidence, shown in published.groupby("confidence", sort=False):
        edge = QUIET if confidence == "secondary" else INK
        label = f"published, {confidence} source" if confidence else PUBLISHED
        style = {"mfc": "none", "mec": edge, "ls": "", "ms": 4.5, "label": label}
        axes.plot(shown["tokens"], shown["value"], "o", **style, zorder=3)
    _draw_ours(axes, data[data["kind"] != PUBLISHED])
    octaves = np.arange(np.floor(np.log2(data["tokens"].min())), np.ceil(np.log2(
        data["tokens"].max())) + 1)  # fmt: skip
    budget_axis(axes, 2**octaves)
    axes.set_xlim(2 ** (octaves[0] - 0.4), 2 ** (octaves[-1] + 0.9))
    _name_points(axes, published)
    axes.set(xlabel="mean tokens per image", ylabel=METRICS[metric].caption)
    dataset = published["dataset"].iloc[0]
    about = f"hollow: published on {dataset}, under their own protocols, not measured here\n"
    legend_below(figure, title=about + _sources(published))
    return figure


def _draw_ours(axes: Any, ours: pd.DataFrame) -> None:
    for (kind, system), shown in ours.groupby(["kind", "system"], sort=False):
        if kind == "fixed budget":
            style = {"color": QUIET, "ls": "", "ms": 3.5, "marker": look_of(system)["marker"]}
            axes.plot(shown["tokens"], shown["value"], **style, label=f"{system}, fixed budget")
        else:
            style = {**look_of(system), "ls": "", "ms": 4, "mew": 0}
            axes.plot(shown["tokens"], shown["value"], **style, label=system, zorder=4)


def _name_points(axes: Any, published: pd.DataFrame) -> None:
    """Names beside the markers, apart from each other; numbers where the figure is narrow."""
    names = published["system"] if width_inches() >= PAGE_INCHES else published["number"]
    low, high = np.log(axes.get_ylim())
    left, right = np.log2(axes.get_xlim())
    octave = 0.88 * 72 * width_inches() / (right - left)
    for column in _columns(published):
        at = (np.log(column["value"]) - low) / (high - low) * PANEL_POINTS
        edge = np.log2(column["tokens"]).max()
        for index, place in zip(column.index, _apart(at.to_numpy()), strict=True):
            row = column.loc[index]
            aside = 12 + (edge - np.log2(row["tokens"])) * octave
            axes.annotate(
                str(names.loc[index]),
                (row["tokens"], row["value"]),
                (aside, place - at.loc[index]),
                textcoords="offset points",
                fontsize=5.5,
                va="center",
                arrowprops={
                    "arrowstyle": "-",
                    "lw": 0.3,
                    "color": QUIET,
                    "shrinkB": 2.5,
                    "relpos": (0, 0.5),
                },
            )


def _columns(published: pd.DataFrame) -> list[pd.DataFrame]:
    """Points of about the same length, whose names stand in one column to the right of them."""
    ordered = published.sort_values("tokens", kind="stable")
    apart = np.diff(np.log2(ordered["tokens"]), prepend=-np.inf) > OCTAVES_APART
    return [column for _, column in ordered.groupby(np.cumsum(apart))]


def _apart(places: np.ndarray) -> np.ndarray:
    """The places, moved up or down until neighbours are `LETTERS_APART`; their order stays."""
    order = np.argsort(places, kind="stable")
    spread = places[order].astype(float)
    for _ in range(200):
        gaps = np.diff(spread)
        short = np.maximum(LETTERS_APART - gaps, 0) / 2
        if short.max(initial=0) < 0.05:
            break
        spread[:-1] -= short
        spread[1:] += short
    result = np.empty_like(spread)
    result[order] = spread
    return result


def _sources(published: pd.DataFrame) -> str:
    """`source: system, system; ...`, with numbers where the figure shows those."""
    numbered = width_inches() < PAGE_INCHES
    parts = []
    for source, shown in published.groupby("source", sort=False):
        names = [
            f"{row.number} {row.system}" if numbered else row.system for row in shown.itertuples()
        ]
        parts.append(f"{source}: {', '.join(names)}")
    return "; ".join(parts)
