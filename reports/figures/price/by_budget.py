"""Price of being elastic by the number of tokens, and what it is made of at a policy's mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from bench.compare.price_block import price_rows
from bench.compare.prices import Price
from bench.records.report_plugins import Figure, Report
from bench.records.tables import as_text
from bench.statistics.intervals import PairedDifference
from reports.analysis.groups import Record, protocol_line
from reports.analysis.price import percents, price_lines, suite_prices
from reports.paper.drawing import legend_below, new_figure, render, wrapped
from reports.paper.marks import draw_mean, sample
from reports.paper.style import INK, PAGE_INCHES, QUIET, look_of, width_inches
from reports.paper.text import caption, page, unfinished

COLUMNS = ["system", "cost", "equal", "budget", "tokens", "length", "against", "part", "kind",
           "seed", "percent", "low", "high", "n", "verdict"]  # fmt: skip
TITLE = "Price of being elastic"
NAMES = {
    "price": "being elastic",
    "gain": "choosing by image",
    "net": "net",
    "possible": "the oracle's choice",
    "oracle": "the oracle's net",
}
STEPS, PASSES, NEITHER = "steps", "decoder passes", "neither"
ROW_INCHES = 0.17  # Of a row whose name has one line.
LABEL_SHARE = 0.26  # Of the width.


def report(records: list[Record], folder: Path) -> Report:
    """Draw `price.png`, `.pdf` and `.csv`; the same in rows as text."""
    failed = unfinished(records)
    prices = suite_prices(records)
    if not prices.found:
        none = (
            "Price: not drawn, no elastic tokenizer and no tokenizer of a single length have "
            "results of one seed"
        )
        return Report(text=page([none, *prices.missing], failed))
    files = render(folder, "price", price_data(prices.found), draw)
    lines = price_lines(records)
    about = (
        f"Distortion over that of a tokenizer trained for this length, minus 1 "
        f"[{caption(PairedDifference)}]"
    )
    rows = as_text(price_rows(prices.found), keys=2)
    text = page([protocol_line(records), about], rows, lines, list(prices.missing), failed)
    return Report(files, text, TITLE, " ".join(lines))


def price_data(found: Sequence[Price]) -> pd.DataFrame:
    """A row per drawn point, in %; see `COLUMNS`. `kind` is `seed`, or `mean` with an interval."""
    names, rows = _names(found), []
    for row in found:
        equal = STEPS if row.cost.equal_steps else PASSES if row.cost.equal_passes else NEITHER
        lengths = "-".join(map(str, row.lengths))
        name = names[row.arm, row.allocation]
        point = (name, row.cost.words, equal, row.budget, row.tokens, lengths, row.against)
        for part, one in row.ratios.items():
            for kind, *each in percents(one):
                rows.append((*point, part, kind, *each, one.verdict if kind == "mean" else ""))
    return pd.DataFrame(rows, columns=COLUMNS)


def _names(found: Sequence[Price]) -> dict[tuple[str, str], str]:
    """Arms by their own names; policies by theirs where an arm has several."""
    pairs = dict.fromkeys((row.arm, row.allocation) for row in found if row.allocation)
    policies = Counter(arm for arm, _ in pairs)
    arms = {(row.arm, ""): row.arm for row in found}
    return arms | {(arm, of): of if policies[arm] > 1 else arm for arm, of in pairs}


def draw(data: pd.DataFrame) -> Any:
    """The figure: a row per arm; a panel per budget, and below one per part at the mean."""
    blocks = [
        (rows, by, label)
        for rows, by, label in (
            (data[data["budget"].notna()], "budget", "price of being elastic (%)"),
            (data[data["budget"].isna()], "part", "change at the policy's mean (%)"),
        )
        if len(rows)
    ]
    heights = [_places(_labels(_series(rows)))[-1] + _around() for rows, _, _ in blocks]
    figure = new_figure(sum(heights))
    below = figure.subfigures(len(blocks), 1, squeeze=False, height_ratios=heights).flat
    for (rows, by, label), block in zip(blocks, below, strict=True):
        columns = sorted(rows[by].unique()) if by == "budget" else rows[by].unique()
        panels = block.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        inches = width_inches() * (1 - LABEL_SHARE) / len(columns)
        for column, axes in zip(columns, panels, strict=True):
            _draw_panel(axes, rows[rows[by] == column], _series(rows))
            many = "" if column == 1 else "s"
            title = f"{column:g} token{many}" if by == "budget" else NAMES[column]
            axes.set_title(wrapped(title, inches), fontsize=7)
        block.supxlabel(label, fontsize=8)
    _legend(figure, data)
    return figure


def _series(data: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(data["system"], data["equal"], strict=True)))


def _labels(series: Sequence[tuple[str, str]]) -> list[str]:
    """Of each system once: its other rows are below the first."""
    before = [None, *(system for system, _ in series)]
    return [
        "" if system == last else wrapped(system, LABEL_SHARE * width_inches())
        for last, (system, _) in zip(before, series, strict=False)
    ]


def _places(labels: Sequence[str]) -> list[float]:
    """Upper edges of the rows, in inches from the first one's, and the last one's lower edge."""
    lines = (label.count("\n") + 1 for label in labels)
    return [0.0, *accumulate(ROW_INCHES + 0.11 * (more - 1) for more in lines)]


def _around() -> float:
    """Inches of a block around its rows: the axis, and titles in one line or in several."""
    return 0.7 if width_inches() >= PAGE_INCHES else 1.0


def _draw_panel(axes: Any, data: pd.DataFrame, series: Sequence[tuple[str, str]]) -> None:
    edges = _places(_labels(series))
    centres = [(upper + lower) / 2 for upper, lower in pairwise(edges)]
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    for y, (system, equal) in zip(centres, series, strict=True):
        color, marker = look_of(system).values()
        fill = color if equal == STEPS else "white"
        bar = {"color": color, "fmt": marker, "mfc": fill, "ms": 4, "mew": 0.9, "elinewidth": 0.9}
        for row in data[(data["system"] == system) & (data["equal"] == equal)].itertuples():
            if row.kind == "seed":
                dot = {"color": color, "ms": 3, "mew": 0, "alpha": 0.6}
                axes.plot(row.percent, y + 0.3 * ROW_INCHES, ".", **dot, zorder=3)
            else:
                draw_mean(axes, row.percent, y, row, across=True, capsize=1.5, **bar, zorder=4)
    axes.set_yticks(centres, _labels(series))
    axes.set_ylim(edges[-1], 0)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=3)
    axes.margins(x=0.08)


def _legend(figure: Any, data: pd.DataFrame) -> None:
    handles = []
    several = (data["n"] > 1).any()
    if several:
        handles.append(sample("one training seed", color=QUIET, marker=".", ms=4, ls=""))
    hollow = [words for equal, words in ((PASSES, "at equal decoder passes instead of steps"),
                                         (NEITHER, "not at equal cost"))
              if equal in set(data["equal"])]  # fmt: skip
    if hollow:
        style = {"color": QUIET, "marker": "o", "mfc": "white", "ms": 4, "ls": ""}
        handles.append(sample(f"hollow: {', or '.join(hollow)}", **style))
    title = "distortion over the tokenizer trained for that length\nlower is better"
    if several:
        title += f"; bars: {caption(PairedDifference)}"
    if "net" in set(data["part"]):
        title += "\n(1 + being elastic) (1 + choosing) = 1 + net"
    legend_below(figure, handles=handles, title=title)


REPORT = Figure(title=TITLE, place=22, draw=report)
