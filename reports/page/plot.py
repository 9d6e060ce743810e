"""Geometry of the page's Pareto plot: tokens and values to places in an SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.metrics.declared import METRICS
from reports.page.points import (
    ALLOCATOR,
    COLLAPSED,
    FIXED,
    FOREIGN,
    LENGTH,
    POLICY,
    UNTRAINED,
    Line,
    Point,
)
from reports.paper.style import PALETTE, color_of

WIDTH, HEIGHT = 860, 430
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 44
_DOT = "M-3.5,0a3.5,3.5 0 1,0 7,0a3.5,3.5 0 1,0 -7,0z"
SHAPES = {  # Paths around a point.
    FIXED: _DOT,
    UNTRAINED: _DOT,
    LENGTH: "M-4.5,-4.5h9v9h-9z",
    FOREIGN: "M-4.5,-4.5h9v9h-9z",
    POLICY: "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z",
    ALLOCATOR: "M0,-6L6,0L0,6L-6,0z",
    COLLAPSED: "M-4.5,-4.5L4.5,4.5M-4.5,4.5L4.5,-4.5",
}
STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Mark:
    """A point's place; `point` is its number among all of the plot's, `series` its tokenizer's."""

    x: float
    y: float
    point: int
    series: int
    kind: str


@dataclass(frozen=True)
class Panel:
    """One metric: marks, lines as SVG paths with series and kind, and ticks as (place, text)."""

    metric: str
    title: str
    caption: str
    marks: tuple[Mark, ...]
    paths: tuple[tuple[str, int, str], ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Plot:
    """All panels, of which a page shows one at a time.

    `series` are tokenizers and the classes of their colours: `c0` and on, of the palette, or `ink`.
    """

    series: tuple[tuple[str, str], ...]
    kinds: tuple[str, ...]
    panels: tuple[Panel, ...]


def make_plot(found: Sequence[Point], lines: Sequence[Line], metrics: Sequence[str]) -> Plot:
    """The plot of these points; no panels where there are none."""
    series = list(dict.fromkeys(point.tokenizer for point in found))
    kinds = tuple(dict.fromkeys(point.kind for point in found))
    panels = tuple(_panel(metric, found, lines, series) for metric in metrics)
    chosen = {point.tokenizer for point in found if point.kind != LENGTH}
    colors = {name: f"c{PALETTE.index(color_of(name))}" for name in series if name in chosen}
    return Plot(tuple((name, colors.get(name, "ink")) for name in series), kinds, panels)


def _panel(
    metric: str, found: Sequence[Point], lines: Sequence[Line], series: Sequence[str]
) -> Panel:
    here = [(place, point) for place, point in enumerate(found) if metric in point.values]
    curves = [line for line in lines if line.metric == metric]
    tokens = [point.tokens for _, point in here]
    heights = [point.values[metric] for _, point in here]
    heights += [value for line in curves for _, value in line.points]
    low, high = math.log2(min(tokens)), math.log2(max(tokens))
    margin = max(0.04 * (high - low), 0.1)
    y_ticks = nice_ticks(min(heights), max(heights))
    bottom, top = min(y_ticks[0], *heights), max(y_ticks[-1], *heights)

    def x(value: float) -> float:
        share = (math.log2(value) - low + margin) / (high - low + 2 * margin)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        share = (value - bottom) / (top - bottom)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    marks = [
        Mark(x(p.tokens), y(p.values[metric]), place, series.index(p.tokenizer), p.kind)
        for place, p in here
    ]
    paths = [
        (
            "M" + "L".join(f"{x(t)},{y(v)}" for t, v in line.points),
            series.index(line.tokenizer),
            line.kind,
        )
        for line in curves
    ]
    return Panel(
        metric=metric,
        title=METRICS[metric].title,
        caption=METRICS[metric].caption,
        marks=tuple(marks),
        paths=tuple(paths),
        x_ticks=tuple((x(2.0**k), f"{2**k:g}") for k in range(math.ceil(low), int(high) + 1)),
        y_ticks=tuple((y(value), f"{value:.6g}") for value in y_ticks),
    )


def nice_ticks(low: float, high: float, *, about: int = 5) -> list[float]:
    """Round numbers from below `low` to above `high`, some `about` of them."""
    if high <= low:
        low, high = low - abs(low) / 10 - 1e-9, high + abs(high) / 10 + 1e-9
    size = 10.0 ** math.floor(math.log10((high - low) / about))
    step = next(s * size for s in STEPS if s * size * about >= high - low)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(place * step, 12) for place in range(first, last + 1)]
