"""Price of being elastic by the number of tokens, and what it is made of at a policy's mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.compare.price import PARTS
from bench.compare.price_block import price_rows
from bench.compare.prices import Price
from bench.records.report_plugins import Figure, Report
from bench.records.tables import as_text
from bench.statistics.intervals import PairedDifference
from reports.analysis.groups import Record, protocol_line
from reports.analysis.price import percents, price_lines, suite_prices
from reports.paper.drawing import budget_axis, legend_below, new_figure, render, wrapped
from reports.paper.marks import beside, draw_mean, row_axis, sample, samples
from reports.paper.style import INK, PAGE_INCHES, QUIET, look_of, width_inches
from reports.paper.text import caption, page, unfinished

COLUMNS = ["system", "cost", "equal", "budget", "tokens", "length", "against", "part", "kind",
           "seed", "percent", "low", "high", "n", "verdict"]  # fmt: skip
TITLE = "Price of being elastic"
NAMES = {
    "price": "being elastic",
    "gain": "choosing by image",
    "net": "together: net",
    "possible": "the oracle's choice",
    "oracle": "the oracle's net",
}
STEPS, PASSES, NEITHER = "steps", "decoder passes", "neither"
OCTAVES = 0.5  # Over which the arms at one budget are spread.


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
    """The figure: prices by tokens, and the parts at the mean; beside each other on a page."""
    at_budgets, at_means = data[data["budget"].notna()], data[data["budget"].isna()]
    shown = [(at_budgets, _draw_budgets)] * (len(at_budgets) > 0)
    shown += [(at_means, _draw_parts)] * (len(at_means) > 0)
    heights = [1.9 if part is at_budgets else _parts_inches(part) for part, _ in shown]
    wide = width_inches() >= PAGE_INCHES
    figure = new_figure(max(heights) if wide else sum(heights))
    grid = {"width_ratios": [1.0, 1.15][: len(shown)]} if wide else {"height_ratios": heights}
    shape = (1, len(shown)) if wide else (len(shown), 1)
    panels = figure.subplots(*shape, squeeze=False, **grid).flat
    for (part, draw_panel), axes in zip(shown, panels, strict=True):
        draw_panel(axes, part)
    _legend(figure, data)
    return figure


def _series(data: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(data["system"], data["equal"], strict=True)))


def _style(system: str, equal: str) -> dict[str, Any]:
    """For `draw_mean`, in the arm's look; hollow where its partner is not of equal steps."""
    color, marker = look_of(system).values()
    fill = color if equal == STEPS else "white"
    return {"color": color, "fmt": marker, "mfc": fill, "ms": 4, "mew": 0.9}


def _draw_budgets(axes: Any, data: pd.DataFrame) -> None:
    series = _series(data)
    axes.axhline(0, color=INK, lw=0.8, zorder=1)
    for place, (system, equal) in enumerate(series):
        here = data[(data["system"] == system) & (data["equal"] == equal)]
        # Beside each other on a log axis.
        style, shift = _style(system, equal), 2 ** (OCTAVES * beside(place, len(series)))
        means = here[here["kind"] == "mean"].sort_values("budget")
        line = {"color": style["color"], "lw": 0.8, "alpha": 0.6}
        axes.plot(means["budget"] * shift, means["percent"], **line, zorder=2)
        seeds = here[here["kind"] == "seed"]
        dot = {"color": style["color"], "ms": 3, "mew": 0, "alpha": 0.6, "ls": ""}
        left = shift * 2 ** (-0.25 * OCTAVES / len(series))
        axes.plot(seeds["budget"] * left, seeds["percent"], marker=".", **dot, zorder=3)
        for mean in means.itertuples():
            bar = {**style, "capsize": 2, "elinewidth": 0.9}
            draw_mean(axes, mean.budget * shift, mean.percent, mean, **bar, zorder=4)
    budgets = sorted(data["budget"].unique())
    budget_axis(axes, budgets)
    axes.set_xlim(budgets[0] * 2**-0.5, budgets[-1] * 2**0.5)
    axes.set_xlabel("tokens")
    axes.set_ylabel("price of being elastic (%)")


def _parts_inches(data: pd.DataFrame) -> float:
    row = max(0.24, 0.11 * len(_series(data)) + 0.08)
    return max(1.4, 0.6 + data["part"].nunique() * row)


def _draw_parts(axes: Any, data: pd.DataFrame) -> None:
    series = _series(data)
    parts = [part for part in PARTS if part in set(data["part"])]
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    for place, (system, equal) in enumerate(series):
        here = data[(data["system"] == system) & (data["equal"] == equal)]
        style = _style(system, equal)
        off = 0.8 * beside(place, len(series))
        for row in here.itertuples():
            y = parts.index(row.part) + off
            if row.kind == "seed":
                dot = {"color": style["color"], "ms": 3, "mew": 0, "alpha": 0.6}
                axes.plot(row.percent, y + 0.3 / len(series), ".", **dot, zorder=3)
            else:
                bar = {**style, "capsize": 1.5, "elinewidth": 0.9}
                draw_mean(axes, row.percent, y, row, across=True, **bar, zorder=4)
    row_axis(axes, [wrapped(NAMES[part], 1.0) for part in parts])
    for edge in range(1, len(parts)):
        axes.axhline(edge - 0.5, color=QUIET, lw=0.4, ls=":", zorder=1)
    axes.margins(x=0.06)
    axes.set_xlabel("change at the policy's mean (%)")


def _legend(figure: Any, data: pd.DataFrame) -> None:
    handles = samples(dict.fromkeys(data["system"]), lw=0.8)
    several = (data["n"] > 1).any()
    if several:
        handles.append(sample("one training seed", color=QUIET, marker=".", ms=4, ls=""))
    hollow = [words for equal, words in ((PASSES, "at equal decoder passes instead of steps"),
                                         (NEITHER, "not at equal cost"))
              if equal in set(data["equal"])]  # fmt: skip
    if hollow:
        style = {"color": QUIET, "marker": "o", "mfc": "white", "ms": 4, "ls": ""}
        handles.append(sample(f"hollow: {' or '.join(hollow)}", **style))
    title = "distortion over the tokenizer trained for that length\nlower is better"
    if several:
        title += f"; bars: {caption(PairedDifference)}"
    if "net" in set(data["part"]):
        title += "\n(1 + being elastic) (1 + choosing) = 1 + net"
    legend_below(figure, handles=handles, title=title)


REPORT = Figure(title=TITLE, place=22, draw=report)
