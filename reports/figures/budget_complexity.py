"""Chosen budget against the complexity of images: objects in the scene, and PNG size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet

from bench.records.report_plugins import Figure, Report
from bench.statistics.bootstrap import BootstrapInterval, paired_bootstrap
from bench.statistics.correlation import SpearmanInterval, spearman_interval
from bench.statistics.intervals import StudentInterval, student_interval
from bench.store.integrity import has_travelled, verified_file
from reports.analysis.allocations import Allocated, allocations, claim_colours
from reports.analysis.groups import Record, by_seed, done_records, repetition_seed
from reports.analysis.names import natural
from reports.paper.drawing import drawn, legend_below, panel_grid
from reports.paper.marks import SINGLE, beside, draw_intervals, ends, sample, samples
from reports.paper.style import INK, PAGE_INCHES, look_of, width_inches
from reports.paper.text import caption, show_interval, unfinished

COLUMNS = [
    *("panel", "tokenizer", "system", "kind", "against", "seed"),
    *("x", "y", "low", "high", "n", "over"),
]
BINS = 8
RESAMPLES = 2000
Values = dict[Any, list[pd.DataFrame]]
MEASURES = {"complexity": "objects in the scene", "png_bytes": "PNG size (bytes)"}
CORRELATION = "correlation"
FILLS = {"complexity": None, "png_bytes": "white"}  # of correlation markers; None: the colour


def report(records: list[Record], folder: Path, *, store: Path) -> Report:
    """Draw `budget_complexity.png`, `.pdf` and `.csv` from the records' tables of images."""
    data = complexity_data(allocations(done_records(records)), store)
    none = (
        "Budget against complexity: not drawn, no allocation's table of images is in the store "
        "and has a known complexity or PNG sizes"
    )
    return drawn(
        folder, "budget_complexity", data, draw, notes=unfinished(records), none=none,
        title="Chosen budget against the complexity of images", alt=lambda: _alt(data),
    )  # fmt: skip


def _alt(data: pd.DataFrame) -> str:
    rho = data[(data["panel"] == CORRELATION) & (data["kind"] == "mean")].dropna(subset="y")
    about = "Mean number of tokens by complexity of the image."
    if rho.empty:
        return f"{about} No allocation varies with the image."
    best = rho.loc[rho["y"].idxmax()]
    kind = StudentInterval if best["over"] == "seeds" else SpearmanInterval
    values = (best["y"], best["low"], best["high"], int(best["n"]))
    return (
        f"{about} Largest Spearman correlation of chosen budget and {MEASURES[best['against']]}: "
        f"{show_interval(kind(*values), over=True)}, {best['system']}."
    )


def complexity_data(found: list[Allocated], store: Path) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`.

    In the panels `complexity` and `png_bytes`, x is the measure (of PNG sizes, the mean of an
    eighth of the images) and y the mean budget there; in `correlation`, y is Spearman's with that
    measure, NaN where all images got one budget. `kind` is `seed` (correlations only) or `mean`,
    whose interval is over seeds where there are several (Student t), else over images (of a mean by
    BCa bootstrap, of a correlation by Bonett and Wright).
    """
    rows: list[tuple[Any, ...]] = []
    for one in found:
        seeds = _tables(one, store)
        for measure in MEASURES:
            known: Values = {}
            for seed, tables in seeds.items():
                cut = (table.dropna(subset=measure) for table in tables if measure in table)
                if each := [table for table in cut if len(table)]:
                    known[seed] = each
            if known:
                names = one.tokenizer, one.system
                rows += [(measure, *names, *row) for row in _mean_rows(known, measure)]
                rows += [(CORRELATION, *names, *row) for row in _correlation_rows(known, measure)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _tables(one: Allocated, store: Path) -> Values:
    """Budget and measures by image, of each record of a seed whose table is in the store."""
    found = ((record, _table(record, store)) for record in one.group.records)
    known = ((record, table) for record, table in found if table is not None)
    return by_seed(known, path=repetition_seed(one.group.records))


def _table(record: Record, store: Path) -> pd.DataFrame | None:
    path = store / record.images if record.images else None
    if path is None or has_travelled(path.parent):
        return None
    verified_file(path, suite=record.suite)
    there = [name for name in MEASURES if name in parquet.read_schema(path).names]
    return pd.read_parquet(path, columns=["budget", *there]) if there else None


def _mean_rows(seeds: Values, measure: str) -> Iterable[tuple[Any, ...]]:
    """Mean budget by level of the measure."""
    first = next(iter(seeds.values()))[0]
    edges = _edges(first[measure])
    means: dict[int, list[float]] = {}
    for tables in seeds.values():
        levels: dict[int, list[float]] = {}
        for table in tables:
            for level, budgets in table["budget"].groupby(_level(table[measure], edges)):
                levels.setdefault(int(level), []).append(float(budgets.mean()))
        for level, each in levels.items():
            means.setdefault(level, []).append(sum(each) / len(each))
    places = first[measure].groupby(_level(first[measure], edges)).mean()
    for level, values in sorted(means.items()):
        if level not in places.index:
            continue
        interval: Any = student_interval(values)
        if len(seeds) == 1:
            budgets = first.loc[_level(first[measure], edges) == level, "budget"]
            interval = _over_images(budgets.to_numpy(dtype=np.float64))
        yield ("mean", measure, None, places[level], *ends(interval), interval.over)


def _edges(values: pd.Series) -> np.ndarray | None:
    """Upper edges of the bins; None where there are so few values that each is a level."""
    if values.nunique() <= 2 * BINS and (values == values.round()).all():
        return None
    return np.unique(np.quantile(values, np.arange(1, BINS) / BINS))


def _level(values: pd.Series, edges: np.ndarray | None) -> np.ndarray:
    return values.to_numpy() if edges is None else np.searchsorted(edges, values, side="left")


def _over_images(budgets: np.ndarray) -> BootstrapInterval:
    if len(budgets) < 2:
        return BootstrapInterval(float(budgets.mean()), math.nan, math.nan, len(budgets), math.nan)
    return paired_bootstrap(budgets, np.random.default_rng(0), resamples=RESAMPLES)


def _correlation_rows(seeds: Values, measure: str) -> Iterable[tuple[Any, ...]]:
    values = {
        seed: float(np.mean([_spearman(table, measure) for table in tables]))
        for seed, tables in seeds.items()
    }
    if len(values) > 1:
        for seed, rho in values.items():
            yield ("seed", measure, seed, math.nan, rho, *SINGLE, "")
    known = [rho for rho in values.values() if not math.isnan(rho)]
    if len(known) < len(values):
        yield ("mean", measure, None, math.nan, math.nan, *SINGLE, "")
        return
    count = len(next(iter(seeds.values()))[0])
    over = student_interval(known) if len(known) > 1 else spearman_interval(known[0], count)
    yield ("mean", measure, None, math.nan, *ends(over), over.over)


def _spearman(table: pd.DataFrame, measure: str) -> float:
    """NaN where budget or measure is the same for all images."""
    if table["budget"].nunique() < 2 or table[measure].nunique() < 2:
        return math.nan
    from scipy import stats  # It takes long to import.

    return float(stats.spearmanr(table["budget"], table[measure]).statistic)


def draw(data: pd.DataFrame) -> Any:
    """The figure: per tokenizer a panel for each measure, then one of the correlations."""
    claim_colours(data["system"])
    panels = [name for name in (*MEASURES, CORRELATION) if (data["panel"] == name).any()]
    tokenizers = list(data["tokenizer"].unique())
    places = [(tokenizer, panel) for tokenizer in tokenizers for panel in panels]
    inches = 2.2 if len(panels) == 3 else 3.2
    if width_inches() < PAGE_INCHES:  # tokenizers side by side
        places, inches = [(tokenizer, panel) for panel in panels for tokenizer in tokenizers], 1.6
    figure, grid = panel_grid(len(places), row_inches=2.1, inches=inches)
    for axes, (tokenizer, panel) in zip(grid, places, strict=True):
        shown = data[(data["tokenizer"] == tokenizer) & (data["panel"] == panel)]
        (_draw_correlations if panel == CORRELATION else _draw_means)(axes, shown)
        if len(tokenizers) > 1:
            axes.set_title(tokenizer)
        if panel != CORRELATION:
            axes.set(xlabel=MEASURES[panel], ylabel="mean tokens chosen")
            axes.locator_params(axis="x", integer=True, nbins=6)
    _legend(figure, data)
    return figure


def _draw_means(axes: Any, shown: pd.DataFrame) -> None:
    for system, points in shown.groupby("system", sort=False):
        points = points.sort_values("x")
        style = {**look_of(system), "ms": 3, "mew": 0, "lw": 0.9, "zorder": 3}
        axes.plot(points["x"], points["y"], **style)
        draw_intervals(axes, points["x"], points["y"], points, color=style["color"], zorder=2)


def _draw_correlations(axes: Any, shown: pd.DataFrame) -> None:
    """A line per system, in the order of the legend."""
    systems = list(shown["system"].unique())
    measures = list(shown["against"].unique())
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    for row in shown.itertuples():
        y = systems.index(row.system) + 0.5 * beside(measures.index(row.against), len(measures))
        style = look_of(row.system)
        if row.kind == "seed":
            axes.plot(row.y, y, ".", color=style["color"], ms=2.5, mew=0, zorder=4)
            continue
        fill = FILLS[row.against] or style["color"]
        axes.plot(row.y, y, **style, ms=4, mfc=fill, mew=0.8, ls="", zorder=3)
        line = {"color": style["color"], "width": 0.8, "zorder": 2}
        draw_intervals(axes, [row.y], [y], shown.loc[[row.Index]], across=True, **line)
    axes.set_yticks([])
    axes.set_ylim(len(systems) - 0.5, -0.5)
    axes.set_xlabel("Spearman correlation")


def _legend(figure: Any, data: pd.DataFrame) -> None:
    handles = samples(sorted(data["system"].unique(), key=natural), lw=0.9)
    words = {"complexity": "correlation with objects", "png_bytes": "correlation with PNG size"}
    rho = data[data["panel"] == CORRELATION]
    for measure in MEASURES:
        if (rho["against"] == measure).any():
            style = {"color": INK, "marker": "o", "ms": 4, "mew": 0.8, "ls": ""}
            handles.append(sample(words[measure], **style, mfc=FILLS[measure] or INK))
    kinds = []
    if (data["over"] == "seeds").any():
        kinds.append(caption(StudentInterval))
    if (data["over"] == "images").any():
        kinds.append(f"{caption(BootstrapInterval)} (correlations: {SpearmanInterval.method})")
    title = f"bars: {'; one seed: '.join(kinds)}" if kinds else None
    legend_below(figure, handles=handles, title=title)


REPORT = Figure(title="Budgets against complexity", place=90, draw=report, takes=("store",))
