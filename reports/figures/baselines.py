"""All tokenizers with all allocators: a table, the agreement of its metrics, and a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.files import write_text
from bench.metrics.declared import METRICS
from bench.records.groups import repetition_name
from bench.records.report_plugins import Figure, Report
from bench.records.tables import as_text
from bench.statistics.intervals import StudentInterval, student_interval
from reports.analysis.entries import NEAR, PATH, Entry, asked_tokens, entries
from reports.analysis.groups import Record, done_records, is_elastic, protocol_line
from reports.analysis.names import ALL_TOKENS, ONE_LENGTH, tokenizer_names
from reports.analysis.rankings import agreements
from reports.analysis.systems import DISTANCES, PRIMARY, System, difference, tied_with_best
from reports.paper.drawing import (
    budget_axis,
    legend_below,
    new_figure,
    panel_inches,
    render,
    wrapped,
    write_csv,
)
from reports.paper.marks import SINGLE, beside, draw_mean, ends, row_axis
from reports.paper.style import INK, QUIET, look_of
from reports.paper.text import page, show_half, show_interval, show_significant, unfinished

OF_ITS_TOKENIZER, OF_ALL = "*", "+"
COLUMNS = ["panel", "tokenizer", "allocator", "kind", "seed", "x", "y", "low", "high", "n"]
QUALITY, GAIN = "quality", "gain"
ROW_INCHES = 0.3
NOT_DRAWN = "Baselines: not drawn, no cell of a tokenizer without an allocator has a result"


def report(records: list[Record], folder: Path) -> Report:
    """Draw `baselines.png`, `.pdf` and `.csv`; `baselines.txt` and `baselines_table.csv` beside."""
    done, failed = done_records(records), unfinished(records)
    if not done:
        return Report(text=page("Baselines: nothing has a result yet", failed))
    found, tokens = entries(records), asked_tokens(records)
    heading = [records[0].question, protocol_line(done)]
    data = baselines_data(found, done)
    drawable = data["kind"].isin(["curve", "length"]).any()
    missing = "" if drawable else NOT_DRAWN
    text = page(missing, heading, _table(found, tokens), _rankings(found, tokens), failed)
    files = render(folder, "baselines", data, draw) if drawable else []
    files.append(write_csv(folder, "baselines_table", table_data(found)))
    path = folder / "baselines.txt"
    write_text(path, text)
    return Report([*files, path], text, "Tokenizers crossed with allocators", _alt(found))


def _alt(found: list[Entry]) -> str:
    about = "Distortion against mean tokens, and what each allocator gains on ignoring the image."
    known = [entry for entry in found if entry.system.values(PRIMARY)]
    if not known:
        return about
    best = min(known, key=lambda entry: entry.system.mean(PRIMARY))
    over = best.system.interval(PRIMARY)
    return (
        f"{about} The lowest {METRICS[PRIMARY].title} of {len(known)} systems is "
        f"{show_significant(over)} over {over.n} seeds: {best.tokenizer}, {best.allocator}."
    )


def contenders(found: Sequence[Entry], tokens: float | None) -> list[Entry]:
    """Candidates for the best: entries near the asked mean tokens, without the oracle."""
    return [entry for entry in found if entry.is_near(tokens) and not entry.is_oracle]


def _metrics(found: Sequence[Entry]) -> list[str]:
    """Distances of which any has a value, stand-ins for another one included."""
    return [name for name in DISTANCES if any(entry.system.values(name) for entry in found)]


def _table(found: list[Entry], tokens: float | None) -> list[str]:
    names = [*dict.fromkeys(repetition_name(entry.path) for entry in found if entry.path)]
    one = names[0].removesuffix("s") if len(names) == 1 else "seed"
    seeds = " or ".join(names) or "nothing: no cell has a seed"
    about = f"Means over {seeds} ± half of their 95 % Student t interval; lower is better"
    lines = [about, as_text(table_rows(found, tokens))]
    if tokens is not None:
        lines += [
            f"within {100 * NEAR:g} % of {tokens:g} mean tokens, without the oracle: "
            f"{OF_ITS_TOKENIZER} the best allocation of its tokenizer or tied with it; "
            f"{OF_ALL} of the tokenizers' best ones, the best or tied with it",
            f"tied: the difference to the best, paired by {one}, is not significant at 5 % "
            "with p corrected by Holm; few seeds tie much",
        ]
    return lines


def table_rows(found: Sequence[Entry], tokens: float | None) -> list[dict[str, Any]]:
    """A row per entry; one without any result says that it failed."""
    metrics = _metrics(found)
    marks = {metric: _marks(contenders(found, tokens), metric) for metric in metrics}
    return [_row(entry, metrics, marks) for entry in found]


def _marks(family: list[Entry], metric: str) -> dict[int, str]:
    """Marks by the identity of the entry's system."""
    marks: dict[int, str] = {}
    leaders: list[System] = []
    for name in dict.fromkeys(entry.tokenizer for entry in family):
        of_it = [e.system for e in family if e.tokenizer == name and e.system.values(metric)]
        if not of_it:
            continue
        leaders.append(min(of_it, key=lambda system: system.mean(metric)))
        for system in tied_with_best(of_it, metric):
            marks[id(system)] = OF_ITS_TOKENIZER
    for system in tied_with_best(leaders, metric):
        marks[id(system)] = marks.get(id(system), "") + OF_ALL
    return marks


def _row(entry: Entry, metrics: list[str], marks: dict[str, dict[int, str]]) -> dict[str, Any]:
    system = entry.system
    row: dict[str, Any] = {
        "tokenizer": entry.tokenizer,
        "allocator": entry.allocator,
        "seeds": f"{entry.seeds}/{entry.planned}" if entry.path or not entry.seeds else "none",
        "tokens": show_half(system.interval("mean_tokens")),
    }
    if not entry.seeds:
        return row | {"tokens": "failed" if entry.error != "pending" else "pending"}
    for metric in metrics:
        over, mark = system.interval(metric), marks[metric].get(id(system), "")
        row[METRICS[metric].title] = f"{_half(over)} {mark}".rstrip()
    return row | {
        "skill": show_half(system.interval("allocation_skill")),
        "encoder passes": system.mean("encoder_passes"),
        "decoder passes": system.mean("decoder_passes"),
        "bits": show_half(system.interval("bits"), digits=1),
    }


def _half(over: Any) -> str:
    """With the decimals of four significant digits."""
    return show_half(over, digits=len(show_significant(over).split(" ")[0].partition(".")[2]))


def _rankings(found: list[Entry], tokens: float | None) -> list[str]:
    near = contenders(found, tokens) if tokens is not None else list(found)
    taus = agreements([entry.system for entry in near], _metrics(near))
    if not taus:
        return []
    rows = [
        {
            "ranked by": METRICS[one.metrics[0]].title,
            "and by": METRICS[one.metrics[1]].title,
            "systems": one.systems,
            "seeds": one.tau.n,
            "Kendall's tau": show_interval(one.tau),
        }
        for one in taus
    ]
    which = "" if tokens is None else f" of the systems near {tokens:g} mean tokens"
    return [
        f"Do metrics rank alike? Kendall's tau-b{which}, per training seed, mean [95 % Student t "
        "over training seeds]; 1 is the same order, 0 none in common",
        as_text(rows),
    ]


def table_data(found: Sequence[Entry]) -> pd.DataFrame:
    """Data of the table: a row per tokenizer, allocator, metric and seed."""
    names = ["mean_tokens", *_metrics(found), "psnr", "ssim", "allocation_skill",
             "allocation_skill_perceptual", "encoder_passes", "decoder_passes", "bits"]  # fmt: skip
    rows = [
        (entry.tokenizer, entry.allocator, name, seed, value)
        for entry in found
        for name in names
        for seed, value in entry.system.values(name).items()
    ]
    return pd.DataFrame(rows, columns=["tokenizer", "allocator", "metric", "seed", "value"])


def baselines_data(found: Sequence[Entry], records: Sequence[Record]) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`.

    Panel `quality`: mean tokens and distortion of fixed budgets (`curve`), single lengths
    (`length`) and allocations. Panel `gain`: x is an allocation's distortion in % of the mixture
    that ignores the image at the same mean tokens, with its interval over training seeds.
    """
    rows: list[tuple[Any, ...]] = []
    nothing = (math.nan, math.nan)
    names = tokenizer_names(records)
    for name in dict.fromkeys(entry.tokenizer for entry in found):
        rows += [
            (QUALITY, name, "fixed budget", "curve", None, budget, over.mean, *nothing, over.n)
            for budget, over in _curve([r for r in records if names[r.cell_key] == name])
        ]
    for entry in found:
        tokens, error = (entry.system.interval(m) for m in ("mean_tokens", PRIMARY))
        if tokens is None or error is None or entry.allocator == ALL_TOKENS:
            continue
        kind = "length" if entry.allocator == ONE_LENGTH else "allocation"
        at = (entry.tokenizer, entry.allocator)
        rows.append((QUALITY, *at, kind, None, tokens.mean, error.mean, *nothing, error.n))
        gain = difference(entry.system, entry.agnostic, PRIMARY)
        if gain.share is not None:
            mean, *bounds = ends(gain.share, times=100)
            rows.append((GAIN, *at, "mean", None, mean, math.nan, *bounds))
            for seed, share in gain.shares.items():
                rows.append((GAIN, *at, "seed", seed, 100 * share, math.nan, *SINGLE))
    return pd.DataFrame(rows, columns=COLUMNS)


def _curve(records: Sequence[Record]) -> list[tuple[int, StudentInterval]]:
    """Distortion at each trained budget of an elastic tokenizer, over training seeds."""
    values: dict[int, dict[Any, float]] = {}
    for record in filter(is_elastic, records):
        for row in record.curve:
            value = row.value(PRIMARY)
            if row.trained and value is not None and math.isfinite(value):
                values.setdefault(row.budget, {})[record.setting(PATH)] = value
    return [(b, student_interval(list(each.values()))) for b, each in sorted(values.items())]


def draw(data: pd.DataFrame) -> Any:
    """Quality against tokens above; below, a row per allocator and a colour per tokenizer."""
    names = list(data["tokenizer"].unique())
    styles = {name: look_of(name) for name in names}
    gains = data[data["panel"] == GAIN]
    allocators = list(gains["allocator"].unique())
    heights = [2.6] + ([ROW_INCHES * len(allocators) + 0.5] if allocators else [])
    figure = new_figure(sum(heights) + 0.2)
    panels = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_quality(panels[0], data[data["panel"] == QUALITY], styles)
    if allocators:
        _draw_gains(panels[1], gains, allocators, styles)
    intervals = (gains["n"] > 1).any()
    title = "below: dots are seeds, bars 95 % Student t over them" if intervals else None
    legend_below(figure, title=title)
    return figure


def _draw_quality(axes: Any, shown: pd.DataFrame, styles: dict[str, dict[str, Any]]) -> None:
    from matplotlib.ticker import LogLocator

    for name, style in styles.items():
        of_it = shown[shown["tokenizer"] == name]
        curve = of_it[of_it["kind"] == "curve"]
        if len(curve):
            axes.plot(curve["x"], curve["y"], **style, mfc="white", ms=3.5, label=name, zorder=2)
        length = of_it[of_it["kind"] == "length"]
        if len(length):
            axes.plot(length["x"], length["y"], **style, ls="", ms=6, label=name, zorder=3)
        chosen = of_it[of_it["kind"] == "allocation"]
        axes.plot(chosen["x"], chosen["y"], ".", color=style["color"], ms=4, mew=0, zorder=4)
    for kind, label, mark in (
        ("curve", "fixed budgets of an elastic tokenizer", {"marker": "o", "mfc": "white"}),
        ("allocation", "an allocator's choice", {"marker": ".", "ls": "", "ms": 5}),
    ):
        if (shown["kind"] == kind).any():
            axes.plot([], [], color=QUIET, label=label, **mark)
    budget_axis(axes, sorted({x for x in shown.loc[shown["kind"] != "allocation", "x"]}))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 4, 6, 8)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_yticks([], minor=True)
    axes.set(xlabel="mean tokens per image", ylabel=f"{METRICS[PRIMARY].title}, lower is better")


def _draw_gains(
    axes: Any, shown: pd.DataFrame, allocators: list[str], styles: dict[str, dict[str, Any]]
) -> None:
    names = [name for name in styles if (shown["tokenizer"] == name).any()]
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    for row in shown.itertuples():
        aside = beside(names.index(row.tokenizer), len(names))
        y = allocators.index(row.allocator) + 0.7 * aside
        style = styles[row.tokenizer]
        if row.kind == "seed":
            axes.plot(row.x, y, ".", color=style["color"], ms=3, mew=0, alpha=0.7, zorder=2)
        else:
            line = {"ms": 3.5, "mfc": "white", "lw": 0.8, "capsize": 1.5, "ls": ""}
            draw_mean(axes, row.x, y, row, across=True, **style, **line, zorder=3)
    row_axis(axes, allocators)
    for edge in range(1, len(allocators)):
        axes.axhline(edge - 0.5, color="#e6e6e6", lw=0.5, zorder=0)
    label = "distortion against the best mixture that ignores the image, same tokens (%)"
    axes.set_xlabel(wrapped(label, 0.6 * panel_inches(axes)))


REPORT = Figure(title="Tokenizers and allocators", place=30, draw=report)
