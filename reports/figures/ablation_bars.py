"""Arms against the suite's reference arm: paired differences, seed by seed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from bench.compare.paired import LEVEL
from bench.metrics.declared import METRICS
from bench.records.report_plugins import Figure, Report
from bench.statistics.intervals import PairedDifference
from reports.analysis.comparisons import Comparison, compare, reference_arm
from reports.analysis.groups import Record, done_records, is_allocation, is_policy
from reports.analysis.names import natural_groups
from reports.paper.drawing import LETTER_INCHES, drawn, legend_below, new_figure, wrapped
from reports.paper.marks import SINGLE, draw_intervals, ends, row_axis, sample, swatch
from reports.paper.style import COLUMN_INCHES, INK, PALETTE, QUIET, width_inches
from reports.paper.text import caption, unfinished

TOKENIZERS, POLICIES = "tokenizers", "policies"
TOKENS = "mean_tokens"
METRICS_OF = {
    TOKENIZERS: ("psnr", "perceptual", "rfid", "fd_lite0"),
    POLICIES: ("allocation_skill", "mse", TOKENS),
}
SHOWN = ("better", "worse", "fewer", "more")
COLUMNS = [
    *("of", "metric", "system", "against", "kind", "seed"),
    *("difference", "low", "high", "n", "p_holm", "verdict"),
]


def report(records: list[Record], folder: Path) -> Report:
    """Draw `ablation_bars.png`, `.pdf` and `.csv`."""
    arm = reference_arm(records)
    data = ablation_data(done_records(records), arm)
    why = (
        f"no arm has results of the same seeds as reference arm '{arm}'"
        if arm
        else "the suite names no reference_arm to set the others against"
    )
    return drawn(
        folder, "ablation_bars", data, draw, notes=unfinished(records),
        none=f"Ablation: not drawn, {why}", title=f"Differences to arm '{arm}'",
        alt=lambda: _alt(data, arm),
    )  # fmt: skip


def _alt(data: pd.DataFrame, arm: str) -> str:
    first = data["metric"].iloc[0]
    means = data[(data["kind"] == "mean") & (data["metric"] == first)]
    words = means["verdict"].value_counts()
    counts = ", ".join(f"{count} {word}" for word, count in words.items())
    largest = means.loc[means["difference"].abs().idxmax()]
    unit = METRICS[first].unit
    return (
        f"Differences to arm '{arm}', paired by seed, in {METRICS[first].title}: {counts} at 5 % "
        f"after Holm. The largest is {largest['difference']:+.3g}{' ' + unit if unit else ''}: "
        f"{largest['system']}."
    )


def ablation_data(records: list[Record], arm: str | None) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`. Empty without a reference arm.

    Differences are in the metric's own direction; of tokenizers they are means over the budgets
    that both have. `kind` is `seed` or `mean`, whose interval is the paired Student's and whose p
    is corrected by Holm over the systems of a metric. Mean tokens are `fewer` or `more`.
    """
    rows: list[tuple[Any, ...]] = []
    policies = [record for record in records if is_policy(record)]
    tokenizers = [record for record in records if not is_allocation(record)]
    for of, members in ((TOKENIZERS, tokenizers), (POLICIES, policies)):
        for metric in METRICS_OF[of] if arm else ():
            for one in compare(natural_groups(members), arm, metric):
                rows += _rows(of, metric, one)
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(of: str, metric: str, one: Comparison) -> list[tuple[Any, ...]]:
    found, over = one.difference, one.difference.interval
    if over is None:
        return []
    rows = [("seed", s, value, *SINGLE, math.nan, "") for s, value in found.by_seed.items()]
    verdict = found.verdict
    if metric == TOKENS:
        verdict = {"better": "fewer", "worse": "more"}.get(verdict, verdict)
    rows.append(("mean", None, *ends(over), found.p, verdict))
    return [(of, metric, one.label, one.against, *row) for row in rows]


def draw(data: pd.DataFrame) -> Any:
    """The figure: a block of panels for tokenizers, one for policies; a panel per metric."""
    kinds = list(data["of"].unique())
    limit = 1.6 if width_inches() > COLUMN_INCHES else 1.1
    room = width_inches() - min(limit, LETTER_INCHES * data["system"].str.len().max())
    across = max(1, min(int(room / 1.5), data.groupby("of")["metric"].nunique().max()))
    lines = []
    for of in kinds:
        metrics = list(data[data["of"] == of]["metric"].unique())
        lines += [(of, metrics[at : at + across]) for at in range(0, len(metrics), across)]
    labels = {name: wrapped(name, limit) for name in data["system"].unique()}
    row_inches = max(0.24, 0.13 * max(label.count("\n") + 1 for label in labels.values()) + 0.05)
    heights = [row_inches * data[data["of"] == of]["system"].nunique() + 0.5 for of, _ in lines]
    figure = new_figure(sum(heights))
    grid = figure.subplots(len(lines), across, squeeze=False, height_ratios=heights)
    for row, (of, metrics) in zip(grid, lines, strict=True):
        here = data[data["of"] == of]
        systems = list(here["system"].unique())
        for axes, metric in zip(row, metrics, strict=False):
            _draw_panel(axes, here[here["metric"] == metric], systems)
            info = METRICS[metric]
            unit = f" ({info.unit})" if info.unit and metric != TOKENS else ""
            direction = "neither way is better" if metric == TOKENS else info.direction
            axes.set_xlabel(f"{info.title}{unit}\n{direction}")
            row_axis(axes, [""] * len(systems))
        row[0].set_yticklabels([labels[system] for system in systems], linespacing=0.9)
        for axes in row[len(metrics) :]:
            axes.remove()
    _legend(figure, data)
    return figure


def _draw_panel(axes: Any, shown: pd.DataFrame, systems: list[str]) -> None:
    axes.axvline(0, color=INK, lw=0.8, zorder=2)
    for row in shown.itertuples():
        y = systems.index(row.system)
        if row.kind == "seed":
            axes.plot(row.difference, y, ".", color=INK, ms=3, mew=0, zorder=5)
            continue
        shown_difference = row.verdict in ("better", "worse")  # of tokens neither is
        color = PALETTE[0] if row.verdict == "better" else PALETTE[1]
        style = {"color": color if shown_difference else QUIET, "alpha": 0.45}
        axes.barh(y, row.difference, height=0.66, **style, zorder=1)
        line = {"color": INK, "width": 0.8, "capsize": 1.5, "zorder": 3}
        draw_intervals(axes, [row.difference], [y], shown.loc[[row.Index]], across=True, **line)
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=4)
    axes.ticklabel_format(axis="x", scilimits=(-2, 4))


def _legend(figure: Any, data: pd.DataFrame) -> None:
    words = set(data["verdict"])
    handles = [
        swatch(label, color=color, alpha=0.45)
        for color, label, known in (
            (PALETTE[0], "better", "better" in words),
            (PALETTE[1], "worse", "worse" in words),
            (QUIET, "no difference shown", bool(words - {"", *SHOWN})),
        )
        if known
    ]
    handles.append(sample("one seed", color=INK, marker=".", ms=3, ls=""))
    against = ", ".join(f"'{name}'" for name in dict.fromkeys(data["against"]))
    several = (data["n"] > 1).any()
    test = f"{caption(PairedDifference)}, paired; verdicts at {LEVEL:.0%} after Holm"
    title = f"differences to {against}\n" + (f"lines: {test}" if several else "one seed each")
    legend_below(figure, handles=handles, title=title)


REPORT = Figure(title="Differences to the reference arm", place=40, draw=report)
