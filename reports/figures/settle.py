"""The verdict on adaptive lengths against tokenizers trained for one length, at equal tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bench.compare.paired import Difference
from bench.files import write_text
from bench.metrics.declared import METRICS
from bench.records.report_plugins import Figure, Report
from reports.analysis.contests import Contest, contests
from reports.analysis.groups import Record, done_records, protocol_line
from reports.analysis.settling import (
    contest_blocks,
    controls_data,
    differences,
    verdict,
)
from reports.analysis.systems import (
    System,
    difference,
    shown_distances,
)
from reports.paper.drawing import legend_below, new_figure, render, wrapped, write_csv
from reports.paper.marks import SINGLE, draw_mean, ends, row_axis, sample
from reports.paper.style import INK, PAGE_INCHES, PALETTE, QUIET, width_inches
from reports.paper.text import page, unfinished

COLUMNS = ["contest", "metric", "system", "side", "kind", "seed", "percent", "low", "high", "n"]
ROW_INCHES = 0.24
AS_RUN, EQUAL = "as run", "tokens made equal"


def report(records: list[Record], folder: Path) -> Report:
    """Draw `settle.png`, `.pdf` and `.csv`; `settle.txt` and `settle_controls.csv` beside them."""
    done, failed = done_records(records), unfinished(records)
    found = [contest for contest in contests(records) if contest.paired]
    if not found:
        none = "Settling: no policy and no tokenizer of its mean length have results of one seed"
        return Report(text=page(none, failed))
    heading = [
        records[0].question,
        f"{protocol_line(done)}; all intervals: 95 % Student t over training seeds",
    ]
    blocks = [block for contest in found for block in contest_blocks(contest)]
    text = page(heading, *blocks, failed)
    files = render(folder, "settle", settle_data(found), draw)
    files.append(write_csv(folder, "settle_controls", controls_data(found)))
    path = folder / "settle.txt"
    write_text(path, text)
    return Report([*files, path], text, "Adaptive against fixed lengths", _alt(found))


def _alt(found: list[Contest]) -> str:
    lines = [(contest.label, verdict(contest, *differences(contest))[0]) for contest in found]
    return " ".join(f"{label}: {line}" for label, line in lines)


def settle_data(found: list[Contest]) -> pd.DataFrame:
    """A row per drawn point, in % of the fixed-length tokenizer's mean; see `COLUMNS`.

    `kind` is `seed` or `mean`, which has an interval; `side` is `adaptive` or `control`.
    """
    rows: list[tuple[Any, ...]] = []
    for contest in found:
        for metric in shown_distances([contest.adaptive, contest.fixed]):
            for side, system in _drawn(contest, metric):
                one = difference(system, contest.fixed, metric)
                point = (contest.label, metric, system.label, side)
                rows += [(*point, *row) for row in _points(one)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _drawn(contest: Contest, metric: str) -> list[tuple[str, System]]:
    """Rows of a panel, from the top."""
    name = contest.adaptive.label
    controls = [contest.control("agnostic"), contest.control("oracle")]
    return [
        ("adaptive", System(f"{name}, {AS_RUN}", contest.adaptive.metrics)),
        ("adaptive", System(f"{name}, {EQUAL}", contest.equal_tokens(metric).metrics)),
        *(("control", system) for system in (*contest.rivals(), *controls)),
    ]


def _points(one: Difference) -> list[tuple[Any, ...]]:
    over = one.share
    if over is None:
        return []
    seeds = [("seed", seed, 100 * value, *SINGLE) for seed, value in one.shares.items()]
    return [*seeds, ("mean", None, *ends(over, times=100))]


def draw(data: pd.DataFrame) -> Any:
    """The figure: rows of panels per contest, a panel per metric, a line per system."""
    labels, metrics = list(data["contest"].unique()), list(data["metric"].unique())
    narrow = width_inches() < PAGE_INCHES
    across = min(len(metrics), 2) if narrow else len(metrics)
    chunks = [metrics[first : first + across] for first in range(0, len(metrics), across)]
    rows = [(label, chunk) for label in labels for chunk in chunks]
    lines = data.groupby("contest")["system"].nunique()
    heights = [ROW_INCHES * lines[label] + 0.75 for label, _ in rows]
    figure = new_figure(sum(heights) + 0.1)
    grid = figure.subplots(len(rows), across, squeeze=False, sharey="row", height_ratios=heights)
    for (label, chunk), row in zip(rows, grid, strict=True):
        here = data[data["contest"] == label]
        systems = list(here["system"].unique())
        names = [wrapped(system, 1.15) for system in systems] if narrow else systems
        for metric, axes in zip(chunk, row, strict=False):
            _draw_panel(axes, here[here["metric"] == metric], systems)
            row_axis(axes, names)
            if label == labels[0] or len(chunks) > 1:
                axes.set_title(METRICS[metric].title)
            if label == labels[-1] or len(chunks) > 1:
                axes.set_xlabel("difference (%)")
        if len(labels) > 1 and chunk is chunks[0]:
            row[0].set_title(label, loc="left", pad=16)
        for axes in row[len(chunk) :]:
            axes.remove()
    _legend(figure, data)
    return figure


def _draw_panel(axes: Any, shown: pd.DataFrame, systems: list[str]) -> None:
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    for row in shown.itertuples():
        y = systems.index(row.system)
        color = PALETTE[0] if row.side == "adaptive" else QUIET
        if row.kind == "seed":
            axes.plot(row.percent, y + 0.25, ".", color=color, ms=4, mew=0, alpha=0.7, zorder=2)
        else:
            style = {"color": color, "fmt": "o", "mfc": "white", "ms": 4.5, "capsize": 2, "lw": 1}
            draw_mean(axes, row.percent, y, row, across=True, **style, zorder=3)
    axes.margins(x=0.08)


def _legend(figure: Any, data: pd.DataFrame) -> None:
    seed = sample("one training seed", color=INK, marker=".", ms=4, ls="")
    label = "mean; bar: 95 % Student t over training seeds" if (data["n"] > 1).any() else "mean"
    mean = sample(label, color=INK, marker="o", mfc="white", ms=4.5, lw=1)
    title = "difference to a tokenizer trained for that length, lower is better"
    legend_below(figure, handles=[seed, mean], title=title)


REPORT = Figure(
    title="Adaptive lengths against tokenizers trained for one length",
    alt="Differences of the adaptive side and its controls to a tokenizer trained for its mean "
    "length, per metric, with intervals over training seeds.",
    place=20,
    draw=report,
)
