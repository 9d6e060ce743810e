"""Sensitivity of policies to the budgets they may choose from: a table in colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bench.metrics.declared import METRICS
from bench.records.report_plugins import Figure, Report
from bench.statistics.intervals import StudentInterval
from bench.suite.labels import describe
from reports.analysis.allocations import Allocated, allocations
from reports.analysis.groups import Record, done_records, is_policy
from reports.analysis.measures import skill
from reports.analysis.names import natural, weighting_name
from reports.paper.drawing import LETTER_INCHES, drawn, new_figure, wrapped
from reports.paper.marks import ends
from reports.paper.style import width_inches
from reports.paper.text import caption, show_interval, unfinished

PANELS = {
    "mse": METRICS["mse"].caption,
    "mean_tokens": "mean tokens per image",
    "allocation_skill": "allocation skill on its own candidates, higher is better",
}
SCALES = {"mse": 1000.0}
COLUMNS = ["metric", "candidates", "condition", "value", "low", "high", "n", "collapsed", "records"]
CELL_INCHES = 0.68
NOTE = f"in cells: mean [{caption(StudentInterval)}]; x: a policy has collapsed"


def report(records: list[Record], folder: Path) -> Report:
    """Draw `candidate_heatmap.png`, `.pdf` and `.csv`."""
    found = [one for one in allocations(done_records(records)) if is_policy(one.group.records[0])]
    data = heatmap_data(found)
    count = data["candidates"].nunique()
    sets = "one set" if count else "no set"
    none = (
        f"Candidate sets: not drawn, policies with results choose from {sets} of candidate "
        "budgets, and it takes two"
    )
    return drawn(
        folder, "candidate_heatmap", data if count > 1 else data[:0], draw, none=none,
        notes=unfinished(records), title="Sensitivity to the candidate budgets",
        alt=lambda: _alt(data),
    )  # fmt: skip


def _alt(data: pd.DataFrame) -> str:
    mse = data[data["metric"] == "mse"]
    widest = mse.groupby("condition")["value"].agg(lambda values: values.max() / values.min() - 1)
    return (
        f"Distortion, mean tokens and skill of policies for {data['candidates'].nunique()} sets of "
        f"candidate budgets under {data['condition'].nunique()} conditions. Between candidate sets "
        f"the distortion differs by up to {widest.max():.1%}, under {widest.idxmax()}; mean tokens "
        "differ with them."
    )


def heatmap_data(found: list[Allocated]) -> pd.DataFrame:
    """A row per cell and metric; see `COLUMNS`. Intervals are Student's over seeds.

    A condition is all that distinguishes policies beside their candidates and seeds: tokenizer,
    weighting, and the arm where several have the same of both.
    """
    conditions = _conditions(found)
    rows: list[tuple[Any, ...]] = []
    for one, condition in zip(found, conditions, strict=True):
        for metric in PANELS:
            is_skill = metric == "allocation_skill"
            over = one.group.interval_of(skill) if is_skill else one.group.interval(metric)
            if over is not None:
                about = one.collapsed, len(one.group.records)
                rows.append((metric, _candidates(one), condition, *ends(over), *about))
    data = pd.DataFrame(rows, columns=COLUMNS)
    order = data["candidates"].map({name: i for i, name in enumerate(_sorted(data, "candidates"))})
    return data.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def _candidates(one: Allocated) -> str:
    return describe(one.group.records[0].config.policy.candidates)


def _conditions(found: list[Allocated]) -> list[str]:
    """The shortest names by which no two policies share a cell."""
    several = len({one.tokenizer for one in found}) > 1
    firsts = [one.group.records[0] for one in found]
    names = [
        [one.tokenizer] * several + [weighting_name(first)]
        for one, first in zip(found, firsts, strict=True)
    ]
    with_arms = [[*name, first.arm] for name, first in zip(names, firsts, strict=True)]
    for each in (names, with_arms):
        cells = {(_candidates(one), *name) for one, name in zip(found, each, strict=True)}
        if len(cells) == len(found):
            return [": ".join(name) for name in each]
    return [one.group.label for one in found]


def _sorted(data: pd.DataFrame, column: str) -> list[str]:
    return sorted(data[column].unique(), key=natural)


def draw(data: pd.DataFrame) -> Any:
    """The figure: a heat map per metric; rows are conditions, columns candidate sets."""
    candidates, conditions = _sorted(data, "candidates"), _sorted(data, "condition")
    metrics = [metric for metric in PANELS if (data["metric"] == metric).any()]
    width = width_inches()
    labels = [wrapped(condition, 0.24 * width) for condition in conditions]
    room = width - LETTER_INCHES * max(len(line) for text in labels for line in text.split("\n"))
    across = max(1, min(len(metrics), int(room / (CELL_INCHES * len(candidates)))))
    cell = room / across / len(candidates) - 0.05
    lines = -(-len(metrics) // across)
    row_inches = max(0.32, 0.13 * max(label.count("\n") + 1 for label in labels))
    note = wrapped(NOTE, width) if (data["n"] > 1).any() else ""
    below = 0.14 * (note.count("\n") + 1)
    figure = new_figure(lines * (row_inches * len(conditions) + 0.6) + 0.3 + below)
    grid = figure.subplots(lines, across, squeeze=False)
    for axes in grid.flat[len(metrics) :]:
        axes.remove()
    for index, (axes, metric) in enumerate(zip(grid.flat, metrics, strict=False)):
        here = data[data["metric"] == metric]
        _draw_cells(axes, here, metric, conditions, candidates, min(5.5, 5.5 * cell / 0.62))
        small = 6 if cell > 0.45 else 5
        axes.set_xticks(range(len(candidates)), candidates, fontsize=small)
        axes.set_yticks(range(len(conditions)), labels if index % across == 0 else [])
        scaled = f", x {SCALES[metric]:g}" if metric in SCALES else ""
        inches = room / across - 0.1
        axes.set_title(wrapped(f"{PANELS[metric]}{scaled}", inches), fontsize=7)
    figure.supxlabel("\n".join(["candidate budgets", *note.splitlines()]), fontsize=7)
    return figure


def _draw_cells(
    axes: Any, shown: pd.DataFrame, metric: str, rows: list[str], columns: list[str], size: float
) -> None:
    from matplotlib import colormaps

    table = shown.pivot(index="condition", columns="candidates", values="value")
    scale = SCALES.get(metric, 1.0)
    table = table.reindex(index=rows, columns=columns) * scale
    axes.imshow(table.to_numpy(), cmap="cividis", aspect="auto")
    low, high = table.min().min(), table.max().max()
    for row in shown.itertuples():
        over = StudentInterval(row.value * scale, row.low * scale, row.high * scale, row.n)
        text = show_interval(over).replace(" ", "\n", 1)
        share = (over.mean - low) / (high - low) if high > low else 0.0
        red, green, blue, _ = colormaps["cividis"](share)
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        place = columns.index(row.candidates), rows.index(row.condition)
        style = {"ha": "center", "va": "center", "fontsize": size}
        mark = " x" if row.collapsed else ""
        axes.text(*place, text + mark, color="white" if dark else "black", **style)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


REPORT = Figure(title="Sensitivity to the candidate sets", place=110, draw=report)
