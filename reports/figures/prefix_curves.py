"""Quality of tokenizers against the number of leading tokens kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bench.metrics.declared import METRICS
from bench.records.report_plugins import Figure, Report
from bench.records.tables import as_text
from bench.statistics.intervals import PairedDifference, student_interval
from reports.analysis.comparisons import compare, comparison_rows, reference_arm
from reports.analysis.groups import Group, Record, done_records, group_by_seed, is_allocation
from reports.analysis.measures import (
    budgets_of,
    mean_of,
    measured_by_all,
    training_seconds,
    values_at,
)
from reports.paper.drawing import (
    UNTRAINED,
    budget_axis,
    legend_below,
    panel_grid,
    panel_inches,
    render,
    wrapped,
)
from reports.paper.marks import SINGLE, ends
from reports.paper.style import QUIET, look_of
from reports.paper.text import caption, page, show_half, unfinished

PANELS = ("psnr", "perceptual", "rfid", "fd_lite0")
COLUMNS = ["group", "metric", "budget", "trained", "kind", "seed", "value", "low", "high", "n"]


def report(records: list[Record], folder: Path) -> Report:
    """Draw `prefix_curves.png`, `.pdf` and `.csv`; tables as text."""
    done, failed = done_records(records), unfinished(records)
    groups = group_by_seed([one for one in done if one.curve and not is_allocation(one)])
    if not groups:
        none = "Prefix curves: not drawn, no cell of a tokenizer without an allocator has a result"
        return Report(text=page(none, failed))
    blocks, data = tables(groups, reference_arm(records)), curve_data(groups)
    if data.empty:
        none = "Prefix curves: not drawn, no metric of theirs is measured in all tokenizers"
        return Report(text=page(none, *blocks, failed))
    files = render(folder, "prefix_curves", data, draw)
    title = "Quality by the number of leading tokens kept"
    return Report(files, page(*blocks, failed), title, _alt(data))


def _alt(data: pd.DataFrame) -> str:
    first = data["metric"].iloc[0]
    means = data[(data["metric"] == first) & (data["kind"] == "mean")]
    most = means[means["budget"] == means["budget"].max()]
    ordered = most.sort_values("value", ascending=not METRICS[first].higher_is_better)
    best = ordered.iloc[0]
    return (
        f"Quality of {means['group'].nunique()} tokenizers by tokens kept. With all "
        f"{best['budget']} the best {METRICS[first].title} is {best['value']:.2f} "
        f"{METRICS[first].unit}".rstrip()
        + f": {best['group']}."
    )


def curve_data(groups: list[Group]) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`. `kind` is `seed` or `mean`, which has an interval."""
    rows: list[tuple[Any, ...]] = []
    for group in groups:
        for metric in measured_by_all(groups, PANELS):
            for budget, trained in budgets_of(group).items():
                point = (group.label, metric, budget, trained)
                seeds = values_at(group, metric, budget)
                over = student_interval(list(seeds.values()))
                rows.append((*point, "mean", None, *ends(over)))
                if over.n > 1:
                    rows += [(*point, "seed", *each, *SINGLE) for each in seeds.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def draw(data: pd.DataFrame) -> Any:
    """The figure: a panel per metric, a line per group."""
    groups, metrics = list(data.group.unique()), list(data["metric"].unique())
    untrained, several = not data["trained"].all(), (data["n"] > 1).any()
    figure, panels = panel_grid(len(metrics), row_inches=2.2)
    for axes, metric in zip(panels, metrics, strict=True):
        for group in groups:
            shown = data[(data["metric"] == metric) & (data.group == group)]
            _draw_group(axes, shown, look_of(group), group)
        if untrained:
            axes.plot([], [], "o", mfc="white", mec=QUIET, label=UNTRAINED)
        budget_axis(axes, data["budget"].unique())
        axes.set_xlabel("tokens kept per image")
        axes.set_title(wrapped(METRICS[metric].caption, panel_inches(axes) - 0.1))
    note = "dots: training seeds; bands: 95 % Student t over them" if several else None
    legend_below(figure, title=note)
    return figure


def _draw_group(axes: Any, shown: pd.DataFrame, style: dict[str, Any], label: str) -> None:
    color = style["color"]
    means = shown[shown["kind"] == "mean"].sort_values("budget")
    line = {**style, "ls": "-" if len(means) > 1 else "", "ms": 3.5}
    axes.plot(means["budget"], means["value"], **line, label=label, zorder=3)
    hollow = means[~means["trained"]]
    if len(hollow):
        axes.plot(hollow["budget"], hollow["value"], **{**line, "ls": ""}, mfc="white", zorder=4)
    spread = means[means["n"] > 1]
    if len(spread) > 1:
        band = {"color": color, "alpha": 0.15, "lw": 0, "zorder": 1}
        axes.fill_between(spread["budget"], spread["low"], spread["high"], **band)
    elif len(spread):
        bars = [spread["value"] - spread["low"], spread["high"] - spread["value"]]
        axes.errorbar(spread["budget"], spread["value"], bars, color=color, capsize=2, zorder=2)
    seeds = shown[shown["kind"] == "seed"]
    if len(seeds):
        axes.plot(seeds["budget"], seeds["value"], ".", color=color, ms=2.5, mew=0, zorder=5)


def tables(groups: list[Group], arm: str | None) -> list[str]:
    """Blocks of text: PSNR by budget, cost, and the differences to the reference arm."""
    about = "Tokenizers: PSNR in dB by tokens kept, mean ± half of its 95 % Student t interval"
    budgets = sorted({budget for group in groups for budget in budgets_of(group)})
    rows = [_quality_row(group, budgets) for group in groups]
    blocks = [f"{about} over training seeds\n{as_text(rows)}"]
    if not all(trained for group in groups for trained in budgets_of(group).values()):
        blocks.append(f"* {UNTRAINED}")
    blocks.append(f"Codebook and cost\n{as_text([_cost_row(group) for group in groups])}")
    if arm is not None:
        rows = comparison_rows(compare(groups, arm, "psnr"))
        blocks.append(
            f"Against arm '{arm}': PSNR in dB averaged over the budgets that both have, paired by "
            f"training seed [{caption(PairedDifference)}]; "
            "verdicts at 5 % on p corrected by Holm over all rows\n"
            + (as_text(rows) if rows else "no other arm has a result")
        )
    return blocks


def _quality_row(group: Group, budgets: list[int]) -> dict[str, Any]:
    row: dict[str, Any] = {"system": group.label, "seeds": group.repetitions}
    trained, means = budgets_of(group), []
    for budget in budgets:
        row[str(budget)] = None
        if seeds := list(values_at(group, "psnr", budget).values()):
            over = student_interval(seeds)
            means.append(over.mean)
            row[str(budget)] = show_half(over) + ("" if trained[budget] else "*")
    span = f"{max(means) - min(means):.2f}" if len(means) > 1 else None
    return row | {"span (dB)": span}


def _cost_row(group: Group) -> dict[str, Any]:
    def mean(value: Any, digits: int | None = None) -> float | None:
        found = mean_of(group, value)
        return None if found is None else round(found, digits)

    return {
        "system": group.label,
        "codebook usage": mean(lambda record: record.metrics.value("codebook_usage"), 3),
        "bits per token": mean_of(group, lambda record: record.metrics.value("bits_per_token")),
        "parameters": mean(lambda record: record.tokenizer_parameters),
        "training (s)": mean(training_seconds),
    }


REPORT = Figure(title="Quality by tokens kept", place=50, draw=report)
