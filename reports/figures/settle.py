"""The verdict on adaptive against fixed lengths at equal tokens.

Fixed lengths are tokenizers that were trained for the mean of the adaptive side, and those of
others that have just the length that it was asked for.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.compare.paired import Difference
from bench.files import write_text
from bench.metrics.declared import METRICS
from bench.records.report_plugins import Figure, Report
from bench.statistics.bootstrap import BootstrapInterval
from reports.analysis.contests import Contest
from reports.analysis.foreign_contests import all_contests, too_far
from reports.analysis.groups import Record, done_records, protocol_line
from reports.analysis.settling import contest_blocks, controls_data, differences, verdict
from reports.analysis.systems import System, shown_distances
from reports.paper.drawing import legend_below, new_figure, render, wrapped, write_csv
from reports.paper.marks import SINGLE, draw_mean, ends, row_axis, sample
from reports.paper.style import INK, PAGE_INCHES, PALETTE, QUIET, width_inches
from reports.paper.text import caption, page, unfinished

COLUMNS = ["contest", "metric", "system", "side", "kind", "seed", "percent", "low", "high", "n",
           "over"]  # fmt: skip
IMAGES = BootstrapInterval.over
TITLE = "Adaptive against fixed lengths"
AS_RUN, EQUAL = "as run", "tokens made equal"


def report(records: list[Record], folder: Path, *, store: Path | None = None) -> Report:
    """Draw `settle.png`, `.pdf` and `.csv`; `settle.txt` and `settle_controls.csv` beside them.

    Against tokenizers that are not trained here, intervals are over images, from the `store`.
    """
    done, failed = done_records(records), [*too_far(records), *unfinished(records)]
    found = [contest for contest in all_contests(records, store) if contest.paired]
    if not found:
        none = "Settling: no policy and no tokenizer of its mean length have results of one seed"
        return Report(text=page(none, failed))
    kinds = dict.fromkeys(contest.repetitions for contest in found if not contest.is_seedless)
    over = f"; intervals, where nothing else is said: 95 % Student t over {' or '.join(kinds)}"
    heading = [records[0].question, protocol_line(done) + (over if kinds else "")]
    blocks = [block for contest in found for block in contest_blocks(contest)]
    text = page(heading, *blocks, failed)
    files = render(folder, "settle", settle_data(found), draw)
    files.append(write_csv(folder, "settle_controls", controls_data(found)))
    path = folder / "settle.txt"
    write_text(path, text)
    words = [f"{one.label}: {verdict(one, *differences(one))[0]}" for one in found]
    return Report([*files, path], text, TITLE, " ".join(words))


def settle_data(found: list[Contest]) -> pd.DataFrame:
    """A row per drawn point, in % of the fixed-length tokenizer's mean; see `COLUMNS`.

    `kind` is `seed` or `mean`, which has an interval; `side` is `adaptive` or `control`. Where a
    mean has an interval over images and one over seeds, it is the wider one.
    """
    rows: list[tuple[Any, ...]] = []
    for contest in found:
        for metric in shown_distances([contest.adaptive, contest.fixed]):
            for side, system in _drawn(contest, metric):
                one = contest.difference(system, metric)
                point = (contest.label, metric, system.label, side)
                rows += [(*point, *row) for row in _points(one, contest.repetitions)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _drawn(contest: Contest, metric: str) -> list[tuple[str, System]]:
    """Rows of a panel, from the top."""
    name, equal = contest.adaptive.label, contest.equal_tokens(metric)
    controls = [contest.control("agnostic"), contest.control("oracle")]
    return [
        ("adaptive", replace(contest.adaptive, label=f"{name}, {AS_RUN}")),
        ("adaptive", replace(equal, label=f"{name}, {EQUAL}")),
        *(("control", system) for system in (*contest.rivals(), *controls)),
    ]


def _points(one: Difference, repetitions: str) -> list[tuple[Any, ...]]:
    share, second = one.share, one.share_over_seeds
    if one.interval is None or share is None:
        return []
    seeds = [("seed", s, 100 * value, *SINGLE, repetitions) for s, value in one.shares.items()]
    over = one.interval.over if one.interval.over == IMAGES else repetitions
    if second is not None and second.half > share.half:
        share, over = second, repetitions
    return [*seeds, ("mean", None, *ends(share, times=100), over)]


def draw(data: pd.DataFrame) -> Any:
    """The figure: rows of panels per contest, a panel per metric, a line per system."""
    labels, metrics = list(data["contest"].unique()), list(data["metric"].unique())
    narrow = width_inches() < PAGE_INCHES
    across = min(len(metrics), 2) if narrow else len(metrics)
    chunks = [metrics[first : first + across] for first in range(0, len(metrics), across)]
    rows = [(label, chunk) for label in labels for chunk in chunks]
    lines = data.groupby("contest")["system"].nunique()
    heights = [0.24 * lines[label] + 0.75 for label, _ in rows]
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
                axes.set_title("\n" * (len(labels) > 1) + METRICS[metric].title)
            elif len(labels) > 1:
                axes.set_title(" \n ")
            if label == labels[-1] or len(chunks) > 1:
                axes.set_xlabel("difference (%)")
        if len(labels) > 1 and chunk is chunks[0]:
            # Beside the metric's title, which a left title would carry along.
            above = {"xycoords": "axes fraction", "textcoords": "offset points"}
            row[0].annotate(label, (0, 1), (0, 18), **above).set_in_layout(False)
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
    seeds = data.loc[data["kind"] == "seed", "over"].unique()
    known = data.loc[(data["kind"] == "mean") & (data["n"] > 1), "over"].unique()
    names = " or ".join(name.removesuffix("s") for name in seeds)
    seed = sample(f"one {names}", color=INK, marker=".", ms=4, ls="")
    bars = [
        caption(BootstrapInterval) if over == IMAGES else f"95 % Student t over {over}"
        for over in known
    ]
    wider = ", the wider one" if IMAGES in known and len(known) > 1 else ""
    label = f"mean; bar: {' or '.join(bars)}{wider}" if bars else "mean"
    mean = sample(label, color=INK, marker="o", mfc="white", ms=4.5, lw=1)
    title = "difference to the fixed length, lower is better"
    legend_below(figure, handles=[seed, mean], title=title)


REPORT = Figure(title=TITLE, place=20, draw=report, takes=("store",))
