"""Lengths that generators draw, and the quality of their images of each length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bench.metrics.declared import METRICS, without_stand_ins
from bench.records.protocol import require_one_protocol
from bench.records.report_plugins import Figure, Report
from bench.statistics.intervals import StudentInterval
from reports.analysis.allocations import claim_colours
from reports.analysis.groups import Group, Record
from reports.analysis.names import natural_groups
from reports.paper.drawing import budget_axis, drawn, legend_below, panel_grid, wrapped
from reports.paper.marks import draw_intervals, sample, samples, spread, swatch
from reports.paper.style import INK, QUIET, color_of, look_of
from reports.paper.text import caption, unfinished

DISTANCES = ("gfid", "gfd_lite0")
LENGTHS, QUALITY, CODES = "lengths", "quality", "codes"
DATA, GENERATED, RECONSTRUCTIONS = "data", "generated", "reconstructions"
COLUMNS = ["panel", "system", "kind", "of", "metric", "repetition", "tokens", "value", "low",
           "high", "n"]  # fmt: skip
X_LABELS = {QUALITY: "tokens, longer images cut there", CODES: "position of the token"}


def report(records: list[Record], folder: Path) -> Report:
    """Draw `generation.png`, `.pdf` and `.csv` from records of the kind `generation`."""
    found = [record for record in records if record.done and record.kind == "generation"]
    require_one_protocol([record.protocol for record in found])
    data = generation_data(found)
    return drawn(
        folder, "generation", data, draw, notes=unfinished(records),
        none="Generation: not drawn, no generation cell has a result yet",
        title="Lengths drawn by generators, and quality by length", alt=lambda: _alt(data, found),
    )  # fmt: skip


def _alt(data: pd.DataFrame, records: list[Record]) -> str:
    parts = []
    for group in natural_groups(records):
        known = without_stand_ins(m for m in DISTANCES if group.interval(m) is not None)
        parts += [
            f"{group.label}: {METRICS[metric].title} {group.interval(metric).mean:.4g}"
            for metric in known
        ]
    drawn = data.loc[data["panel"] == LENGTHS, "system"].nunique()
    return (
        f"Distance of the images of {data['system'].nunique()} generators cut at each length, and "
        f"the lengths that {drawn} of them draw beside those of the data. {'; '.join(parts)}"
    ).strip()


def generation_data(records: list[Record]) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`.

    In the panel `lengths`, value is the share of the images `of` the data or generated, for
    generators that tell lengths apart; in `quality`, the distance of all images, the longer ones
    cut at so many tokens, and that of reconstructions of real images cut alike where it is known;
    in `codes`, the distance of the codes at the position `tokens`, likewise. `kind` is `seed`, or
    `mean` with its interval.
    """
    rows: list[tuple[Any, ...]] = []
    for group in natural_groups(records):
        for of in (DATA, GENERATED) if _draws_lengths(group) else ():
            shares = [
                (index, int(tokens), share)
                for index, record in enumerate(group.records)
                for tokens, share in record.generation.lengths.get(of, {}).items()
            ]
            rows += _rows((LENGTHS, group.label), of, "share", group, shares)
        metric = _distance(group)
        if metric is not None:
            for of, name in ((GENERATED, metric), (RECONSTRUCTIONS, f"{metric}_reconstructions")):
                points = [
                    (index, row.tokens, value)
                    for index, record in enumerate(group.records)
                    for row in record.generation.by_length
                    if (value := row.value(name)) is not None
                ]
                rows += _rows((QUALITY, group.label), of, metric, group, points)
        for of, name in ((GENERATED, "distance"), (RECONSTRUCTIONS, "reconstructions")):
            points = [
                (index, row.position, value)
                for index, record in enumerate(group.records)
                for row in (record.code_histograms.by_position if record.code_histograms else ())
                if (value := getattr(row, name)) is not None
            ]
            rows += _rows((CODES, group.label), of, "chd", group, points)
    return pd.DataFrame(rows, columns=COLUMNS)


def _draws_lengths(group: Group) -> bool:
    """Whether there is more than one length to compare: a panel of one full bar says nothing."""
    lengths = [record.generation.lengths for record in group.records]
    told = [each.get(of, {}) for each in lengths for of in (DATA, GENERATED)]
    return len({tokens for shares in told for tokens in shares}) > 1


def _distance(group: Group) -> str | None:
    """The distance that is known by length."""
    rows = [row for record in group.records for row in record.generation.by_length]
    known = without_stand_ins(m for m in DISTANCES if any(m in row.values for row in rows))
    return next(iter(known), None)


def _rows(
    names: tuple[str, str], of: str, metric: str, group: Group, points: list[tuple[int, int, float]]
) -> list[tuple[Any, ...]]:
    """A row per record and length where there are several records, and one per length: the mean."""
    rows: list[tuple[Any, ...]] = []
    for tokens in sorted({tokens for _, tokens, _ in points}):
        values = {index: value for index, at, value in points if at == tokens}
        for kind, seed, *row in spread(values, several=len(group.records) > 1):
            rows.append((*names, kind, of, metric, seed, tokens, *row))
    return rows


def draw(data: pd.DataFrame) -> Any:
    """The figure: a panel of lengths per generator, then quality by length and codes for all."""
    claim_colours(data["system"])
    lengths = data[data["panel"] == LENGTHS]
    systems = [name for name in data["system"].unique() if (lengths["system"] == name).any()]
    metrics = list(data.loc[data["panel"] == QUALITY, "metric"].unique())
    places = [*((LENGTHS, system) for system in systems), *((QUALITY, each) for each in metrics)]
    places += [(CODES, "chd")] * bool((data["panel"] == CODES).any())
    figure, panels = panel_grid(len(places), row_inches=1.9, inches=2.2)
    inches = figure.get_figwidth() / panels[0].get_gridspec().ncols - 0.5
    for axes, (what, name) in zip(panels, places, strict=True):
        if what == LENGTHS:
            _draw_lengths(axes, lengths[lengths["system"] == name])
            axes.set_title(wrapped(name, inches), fontsize=7)
        else:
            _draw_quality(axes, data[(data["panel"] == what) & (data["metric"] == name)])
            axes.set_xlabel(X_LABELS[what])
            axes.set_ylabel(f"{METRICS[name].title}, lower is better")
    _legend(figure, data)
    return figure


def _draw_lengths(axes: Any, shown: pd.DataFrame) -> None:
    """Bars side by side: the data's grey, the generator's in its colour."""
    tokens = sorted(shown["tokens"].unique())
    color = color_of(shown["system"].iloc[0])
    for of, aside, style in (
        (DATA, -0.2, {"color": QUIET, "alpha": 0.6}),
        (GENERATED, 0.2, {"color": color, "alpha": 0.6}),
    ):
        here = shown[shown["of"] == of]
        here = here.assign(x=[tokens.index(each) + aside for each in here["tokens"]])
        means, seeds = here[here["kind"] == "mean"], here[here["kind"] == "seed"]
        axes.bar(means["x"], means["value"], width=0.38, **style, zorder=1)
        draw_intervals(axes, means["x"], means["value"], means, color=INK, zorder=3)
        axes.plot(seeds["x"], seeds["value"], ".", color=style["color"], ms=3, zorder=4)
    few = tokens if len(tokens) <= 10 else tokens[:: -(-len(tokens) // 8)]
    axes.set_xticks([tokens.index(each) for each in few], [f"{each:g}" for each in few])
    axes.grid(visible=False, axis="x")
    axes.set(xlabel="tokens", ylabel="share of the images")


def _draw_quality(axes: Any, shown: pd.DataFrame) -> None:
    for (system, of), points in shown.groupby(["system", "of"], sort=False):
        seeds = points[points["kind"] == "seed"]
        style = look_of(system)
        if of == RECONSTRUCTIONS:
            style |= {"ls": ":", "mfc": "white"}
        axes.plot(seeds["tokens"], seeds["value"], ".", color=style["color"], ms=2.5, zorder=4)
        means = points[points["kind"] == "mean"].sort_values("tokens")
        every = [place for place, at in enumerate(means["tokens"]) if at & (at - 1) == 0]
        style |= {"markevery": every if len(means) > 10 else None}
        axes.plot(means["tokens"], means["value"], **style, ms=4, lw=0.9, zorder=3)
        color = style["color"]
        draw_intervals(axes, means["tokens"], means["value"], means, color=color, zorder=2)
    tokens = sorted(shown["tokens"].unique())
    budget_axis(axes, tokens if len(tokens) <= 10 else [t for t in tokens if t & (t - 1) == 0])


def _legend(figure: Any, data: pd.DataFrame) -> None:
    handles = [swatch("lengths of the data", color=QUIET, alpha=0.6)]
    handles += samples(data["system"].unique(), lw=0.9)
    if (data["of"] == RECONSTRUCTIONS).any():
        style = {"color": INK, "marker": "o", "mfc": "white", "ms": 4, "ls": ":", "lw": 0.9}
        handles.append(sample("reconstructions of real images", **style))
    several = (data["n"] > 1).any()
    title = f"points: seeds; lines: {caption(StudentInterval)}" if several else None
    legend_below(figure, handles=handles, title=title)


REPORT = Figure(title="Generated images", place=140, draw=report)
