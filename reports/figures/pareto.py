"""The Pareto figure: quality against mean tokens, with everything an allocation must beat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from bench.metrics.declared import METRICS
from bench.records.report_plugins import Figure, Report
from bench.statistics.intervals import StudentInterval, student_interval
from reports.analysis.groups import (
    Record,
    by_seed,
    done_records,
    group_by_seed,
    has_collapsed,
    is_elastic,
    is_fixed_length,
    is_policy,
    is_trained_here,
    on_tokenizers_of,
    repetition_seed,
)
from reports.analysis.measures import largest
from reports.analysis.names import control_words, system_label, tokenizer_family
from reports.analysis.published import read_published
from reports.figures.published import published_report
from reports.paper.drawing import (
    COLLAPSED,
    UNTRAINED,
    budget_axis,
    legend_below,
    new_figure,
    panels_across,
    render,
    wrapped,
)
from reports.paper.marks import SINGLE, draw_intervals, ends
from reports.paper.style import INK, QUIET, color_of, look_of
from reports.paper.text import caption, show_interval

PANELS = ("mse", "rfid", "fd_lite0")
COLUMNS = [
    *("tokenizer", "series", "kind", "seed", "tokens", "metric", "value", "mark"),
    *("low", "high", "n"),
]
ALLOCATIONS = ("policy", "allocator")
ONE_LENGTH, LENGTH = "trained for one length", "fixed length"
MEAN = "mean of seeds"
ROW_INCHES = 2.1


def report(records: list[Record], folder: Path, *, published: Path | None = None) -> Report:
    """Draw `pareto.png` and `pareto.pdf`, with `pareto.csv` of what is drawn.

    `published` is a YAML file of published results (`reports.analysis.published`), drawn in a
    figure of their own metric, `pareto_published`.
    """
    done = done_records(records)
    beside = Report()
    if published is not None:
        beside = published_report(read_published(published), done, folder)
    data = pareto_data(done)
    if data.empty:
        text = "Pareto figure: not drawn, no elastic tokenizer has a result yet"
        return Report(beside.files, text, beside.title, beside.alt)
    files = render(folder, "pareto", data, draw)
    title = "Quality against mean tokens per image"
    return Report([*files, *beside.files], "", title, " ".join([_alt(done), beside.alt]).strip())


def _alt(records: list[Record]) -> str:
    groups = group_by_seed(list(filter(is_policy, records)))
    about = "Distortion and distance of images against the mean tokens they were given."
    best = largest(groups, lambda record: record.metrics.value("allocation_skill"))
    if best is None:
        return f"{about} No policy has a skill."
    skill, label = best
    return (
        f"{about} Of {len(groups)} policies the largest skill, where 0 ignores the image and 1 "
        f"is the oracle, is {show_interval(skill, over=True)}: {label}."
    )


def pareto_data(records: list[Record]) -> pd.DataFrame:
    """Everything that is drawn, one row per point; see `COLUMNS`.

    `kind` is `fixed budget`, `fixed length`, `policy`, `allocator`, a curve (`agnostic mixture`,
    `oracle`), or `mean of seeds`, with its Student interval over them; `mark` is `collapsed` of an
    allocation, or `length never trained` of a fixed budget. Seeds of one tokenizer share a facet.
    """
    rows: list[tuple[Any, ...]] = []
    metrics = [name for name in PANELS if any(name in r.metrics for r in records)]
    elastics = list(filter(is_elastic, records))
    for facet in dict.fromkeys(map(tokenizer_family, elastics)):
        own = [record for record in elastics if tokenizer_family(record) == facet]
        for elastic in own:
            rows += _curve_rows(facet, elastic, metrics)
        series: dict[tuple[str, str], list[Record]] = {}
        for record in on_tokenizers_of(own, records):
            kind = "policy" if is_policy(record) else "allocator"
            series.setdefault((system_label(record, facet), kind), []).append(record)
        for group in group_by_seed(list(filter(is_fixed_length, records))):
            name = ONE_LENGTH if is_trained_here(group.records[0]) else group.label
            rows += _group_rows((facet, name, LENGTH), group.records, metrics)
        for (name, kind), members in series.items():
            rows += _group_rows((facet, name, kind), members, metrics)
    return pd.DataFrame(rows, columns=COLUMNS)


def _curve_rows(facet: str, elastic: Record, metrics: list[str]) -> Iterable[tuple[Any, ...]]:
    seed = elastic.setting("training.seed")
    for row in elastic.curve:
        mark = "" if row.trained else UNTRAINED
        point = (facet, "fixed budget", "fixed budget", seed, row.budget)
        for metric in metrics:
            if (value := row.value(metric)) is not None:
                yield (*point, metric, value, mark, *SINGLE)
    for name, curve in elastic.trade_offs.items():
        point = (facet, control_words(name), control_words(name), seed)
        yield from ((*point, t, "mse", d, "", *SINGLE) for t, d in curve)


def _group_rows(
    point: tuple[str, str, str], members: Sequence[Record], metrics: list[str]
) -> Iterable[tuple[Any, ...]]:
    """A row per record and metric, and per metric the mean over seeds where there are several."""
    facet, series, kind = point
    path = repetition_seed(members)
    for metric in metrics:
        values = ((r, (r.metrics.value("mean_tokens"), r.metrics.value(metric))) for r in members)
        known = [(record, pair) for record, pair in values if pair[1] is not None]
        for record, (tokens, value) in known:
            mark = COLLAPSED if kind in ALLOCATIONS and has_collapsed(record) else ""
            yield (*point, record.setting(path), tokens, metric, value, mark, *SINGLE)
        found = by_seed(known, path=path)
        if len(found) > 1:
            means = [tuple(map(fmean, zip(*each, strict=True))) for each in found.values()]
            x, over = map(student_interval, zip(*means, strict=True))
            mean, *bounds = ends(over)
            yield (facet, series, MEAN, None, x.mean, metric, mean, "", *bounds)


def draw(data: pd.DataFrame) -> Any:
    """The figure: axes per metric and elastic tokenizer, those of a metric in rows of their own."""
    facets, metrics = list(data["tokenizer"].unique()), list(data["metric"].unique())
    series = list(data.loc[data["kind"].isin(ALLOCATIONS), "series"].unique())
    across = panels_across(len(facets))
    chunks = [facets[first : first + across] for first in range(0, len(facets), across)]
    lines = [(metric, chunk) for metric in metrics for chunk in chunks]
    figure = new_figure(ROW_INCHES * len(lines) + 0.2)
    grid = figure.subplots(len(lines), across, sharex=True, sharey="row", squeeze=False)
    budgets = sorted(data.loc[data["kind"] == "fixed budget", "tokens"].unique())
    inches = figure.get_figwidth() / across - 0.4
    for row, (metric, chunk) in zip(grid, lines, strict=True):
        for axes, facet in zip(row, chunk, strict=False):
            shown = data[(data["tokenizer"] == facet) & (data["metric"] == metric)]
            _draw_axes(axes, shown, series)
            budget_axis(axes, budgets)
            if metric == metrics[0] or len(chunks) > 1:
                axes.set_title(wrapped(facet, inches))
        row[0].set_ylabel(METRICS[metric].caption)
    for metric in metrics:
        _share_limits([row[0] for row, line in zip(grid, lines, strict=True) if line[0] == metric])
    for place, column in enumerate(grid.T):
        drawn = [axes for axes, (_, chunk) in zip(column, lines, strict=True) if place < len(chunk)]
        for axes in set(column) - set(drawn):
            axes.remove()
        drawn[-1].tick_params(labelbottom=True)
        drawn[-1].set_xlabel("mean tokens per image")
    means = (data["kind"] == MEAN).any()
    title = f"every seed is a point; hollow and larger: means, bars: {caption(StudentInterval)}"
    legend_below(figure, title=title if means else "every seed is a point" if series else None)
    return figure


def _share_limits(rows: list[Any]) -> None:
    """The same range of values in all rows of a metric."""
    lows, highs = zip(*(axes.get_ylim() for axes in rows), strict=True)
    for axes in rows:
        axes.set_ylim(min(lows), max(highs))


def _draw_axes(axes: Any, shown: pd.DataFrame, allocations: list[str]) -> None:
    for name, dashes in (("agnostic mixture", "-"), ("oracle", "--")):
        curves = shown[shown["kind"] == name]
        for _, curve in curves.groupby("seed", dropna=False):
            curve = curve.sort_values("tokens")
            style = {"color": QUIET, "lw": 1.2 if curves["seed"].nunique() < 2 else 0.6}
            axes.plot(curve["tokens"], curve["value"], dashes, **style, label=name, zorder=1)
    fixed = shown[shown["kind"] == "fixed budget"]
    trained = fixed[fixed["mark"] == ""]
    axes.plot(trained["tokens"], trained["value"], "o", color=QUIET, label="fixed budget", zorder=2)
    hollow = fixed[fixed["mark"] == UNTRAINED]
    if len(hollow):
        style = {"mfc": "white", "mec": QUIET, "label": f"fixed budget, {UNTRAINED}"}
        axes.plot(hollow["tokens"], hollow["value"], "o", **style, zorder=2)
    lengths = shown[shown["kind"] == LENGTH]
    for series, points in lengths.groupby("series", sort=False):
        color = INK if series == ONE_LENGTH else color_of(series)
        style = {"color": color, "ms": 2.7 if series == ONE_LENGTH else 4, "mew": 0}
        axes.plot(points["tokens"], points["value"], "s", **style, label=series, zorder=3)
        _draw_means(axes, shown, series, {"color": color, "marker": "s"})
    for series in allocations:
        points = shown[(shown["series"] == series) & (shown["mark"] == "")]
        points = points[points["kind"] != MEAN]
        style = {**look_of(series), "ls": "", "ms": 2.7, "mew": 0}
        axes.plot(points["tokens"], points["value"], **style, label=series, zorder=4)
        crosses = shown[(shown["series"] == series) & (shown["mark"] == COLLAPSED)]
        axes.plot(crosses["tokens"], crosses["value"], "x", color=color_of(series), ms=5, zorder=5)
        _draw_means(axes, shown, series, look_of(series))
    if (shown["mark"] == COLLAPSED).any():
        axes.plot([], [], "x", color=INK, ms=5, label="collapsed (in its colour)")


def _draw_means(axes: Any, shown: pd.DataFrame, series: str, style: dict[str, Any]) -> None:
    means = shown[(shown["series"] == series) & (shown["kind"] == MEAN)]
    if len(means):
        line = {"color": style["color"], "width": 0.9, "zorder": 5}
        draw_intervals(axes, means["tokens"], means["value"], means, **line)
        mark = {**style, "ls": "", "ms": 6, "mfc": "none", "mew": 0.8, "label": f"_{series}"}
        axes.plot(means["tokens"], means["value"], **mark, zorder=3)


REPORT = Figure(title="Quality against mean tokens", place=10, draw=report, takes=("published",))
