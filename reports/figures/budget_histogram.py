"""Shares of the images that get each budget, allocation by allocation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bench.records.report_plugins import Figure, Report
from bench.statistics.intervals import StudentInterval, student_interval
from reports.analysis.allocations import Allocated, allocations, claim_colours
from reports.analysis.groups import Record, by_seed, done_records, has_collapsed, repetition_seed
from reports.analysis.names import natural
from reports.paper.drawing import COLLAPSED, drawn, legend_below, panel_grid
from reports.paper.marks import SINGLE, draw_intervals, ends, sample, swatch
from reports.paper.style import INK, color_of
from reports.paper.text import caption, unfinished

COLUMNS = ["tokenizer", "system", "kind", "seed", "budget", "share", "low", "high", "n", "mark"]
SHARE = "share/tokens_"


def report(records: list[Record], folder: Path) -> Report:
    """Draw `budget_histogram.png`, `.pdf` and `.csv`."""
    found = allocations(done_records(records))
    data = histogram_data(found)
    left_out = [
        f"left out, since its lengths are no candidate budgets: {one.group.label}"
        for one in found
        if not _shares(one.group.records[0])
    ]
    return drawn(
        folder, "budget_histogram", data, draw, notes=[*left_out, *unfinished(records)],
        none="Chosen budgets: not drawn, no allocation with shares of budgets has a result yet",
        title="Shares of the budgets chosen", alt=lambda: _alt(data),
    )  # fmt: skip


def _alt(data: pd.DataFrame) -> str:
    means = data[data["kind"] == "mean"]
    widest = means.loc[means["share"].idxmax()]
    systems = data.drop_duplicates(["tokenizer", "system"])
    crossed = data[data["mark"] == COLLAPSED].drop_duplicates(["tokenizer", "system", "seed"])
    where = f" on {widest['tokenizer']}" if widest["tokenizer"] else ""
    return (
        f"Share of the images that got each budget, for {len(systems)} allocations. The largest "
        f"share is {widest['share']:.0%} of the images at {widest['budget']} tokens: "
        f"{widest['system']}{where}. {len(crossed)} runs have collapsed to one budget."
    )


def histogram_data(found: list[Allocated]) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`.

    `kind` is `seed`, a repetition's share, or `mean`, which has an interval over repetitions;
    `mark` is `collapsed` where all images of a record got one budget.
    """
    rows: list[tuple[Any, ...]] = []
    for one in found:
        path = repetition_seed(one.group.records)
        names = one.tokenizer, one.system
        for budget in _shares(one.group.records[0]):
            shares = [(record, _shares(record).get(budget)) for record in one.group.records]
            known = [(record, share) for record, share in shares if share is not None]
            for record, share in known:
                mark = COLLAPSED if has_collapsed(record) else ""
                seed = record.setting(path)
                rows.append((*names, "seed", seed, budget, share, *SINGLE, mark))
            means = [sum(each) / len(each) for each in by_seed(known, path=path).values()]
            rows.append((*names, "mean", None, budget, *ends(student_interval(means)), ""))
    return pd.DataFrame(rows, columns=COLUMNS)


def _shares(record: Record) -> dict[int, float]:
    names = [name for name in record.metrics if name.startswith(SHARE)]
    return dict(sorted((int(n.removeprefix(SHARE)), record.metrics.value(n)) for n in names))


def draw(data: pd.DataFrame) -> Any:
    """The figure: a panel per tokenizer, and at each budget a bar per allocation."""
    budgets, tokenizers = sorted(data["budget"].unique()), list(data["tokenizer"].unique())
    claim_colours(data["system"])
    figure, panels = panel_grid(len(tokenizers), row_inches=1.9, inches=3.0)
    for axes, tokenizer in zip(panels, tokenizers, strict=True):
        shown = data[data["tokenizer"] == tokenizer]
        systems = list(shown["system"].unique())
        width = 0.84 / len(systems)
        for index, system in enumerate(systems):
            aside = (index + 0.5) * width - 0.42
            _draw_bars(axes, shown[shown["system"] == system], budgets, aside, width)
        axes.set_title(tokenizer)
        axes.set_xticks(range(len(budgets)), [f"{budget:g}" for budget in budgets])
        axes.set(ylim=(0, 1.02), xlabel="tokens chosen", ylabel="share of the images")
        axes.grid(visible=False, axis="x")
        axes.tick_params(axis="x", length=0)
    _legend(figure, data)
    return figure


def _draw_bars(
    axes: Any, shown: pd.DataFrame, budgets: list[int], aside: float, width: float
) -> None:
    def places(rows: pd.DataFrame) -> list[float]:
        return [budgets.index(budget) + aside for budget in rows["budget"]]

    color = color_of(shown["system"].iloc[0])
    means = shown[shown["kind"] == "mean"]
    style = {"width": 0.9 * width, "color": color, "alpha": 0.4, "label": shown["system"].iloc[0]}
    axes.bar(places(means), means["share"], **style, zorder=1)
    draw_intervals(axes, places(means), means["share"], means, color=INK, zorder=3)
    for mark, marker, size in (("", ".", 3), (COLLAPSED, "x", 5)):
        seeds = shown[(shown["kind"] == "seed") & (shown["mark"] == mark)]
        style = {"color": color, "ms": size, "ls": ""}
        axes.plot(places(seeds), seeds["share"], marker, **style, zorder=4)


def _legend(figure: Any, data: pd.DataFrame) -> None:
    systems = sorted(data["system"].unique(), key=natural)
    handles = [swatch(system, color=color_of(system), alpha=0.4) for system in systems]
    if (data["mark"] == COLLAPSED).any():
        label = "collapsed: one budget for all images"
        handles.append(sample(label, color=INK, marker="x", ls="", ms=5))
    several = (data["n"] > 1).any()
    title = f"bars: means; points: seeds; lines: {caption(StudentInterval)}" if several else None
    legend_below(figure, handles=handles, title=title)


REPORT = Figure(title="Shares of the budgets chosen", place=80, draw=report)
