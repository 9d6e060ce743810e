"""Marks that figures share: means with their intervals, rows of systems, samples for a legend."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.statistics.intervals import Interval, student_interval
from reports.paper.style import look_of

SINGLE = (math.nan, math.nan, 1)  # bounds and number of a value by itself


def ends(over: Interval, *, times: float = 1) -> tuple[float, float, float, int]:
    """Mean and bounds, multiplied, and number: of a row of a figure's data."""
    return times * over.mean, times * over.low, times * over.high, over.n


def spread(values: Mapping[Any, float], *, several: bool) -> list[tuple[Any, ...]]:
    """Kind, seed, value, bounds and number: of each seed if there are `several`, then the mean."""
    rows = [("seed", seed, value, *SINGLE) for seed, value in values.items() if several]
    return [*rows, ("mean", None, *ends(student_interval(list(values.values()))))]


def beside(place: int, count: int) -> float:
    """Where the marks of series number `place` stand, of `count` side by side in -0.5 to 0.5."""
    return (place + 0.5) / count - 0.5


def draw_intervals(
    axes: Any, x: Any, y: Any, means: pd.DataFrame, *, color: str, width: float = 0.7,
    across: bool = False, **style: Any,
) -> None:  # fmt: skip
    """Draw `low` to `high` of means at (x, y) as lines; `across`: the means are on the x axis.

    A mean without bounds has no line.
    """
    known = means["low"].notna().to_numpy()
    if not known.any():
        return
    x, y, bounds = np.asarray(x)[known], np.asarray(y)[known], means[known]
    values, error = (x, "xerr") if across else (y, "yerr")
    style |= {error: [values - bounds["low"], bounds["high"] - values]}
    axes.errorbar(x, y, fmt="none", ecolor=color, elinewidth=width, **style)


def draw_mean(
    axes: Any, x: float, y: float, mean: Any, *, across: bool = False, **style: Any
) -> None:
    """Draw a mean at (x, y) as a marker, with its interval (`low`, `high`) where `n` is above 1.

    `across`: the mean is on the x axis. `style` is for `errorbar`.
    """
    value, error = (x, "xerr") if across else (y, "yerr")
    bounds = [[value - mean.low], [mean.high - value]] if mean.n > 1 else None
    axes.errorbar([x], [y], **{error: bounds}, **style)


def row_axis(axes: Any, names: Sequence[str]) -> None:
    """A y axis with a row per name, the first at the top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def sample(label: str, **style: Any) -> Any:
    """A line for a legend, without data."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)


def samples(systems: Iterable[str], **style: Any) -> list[Any]:
    """A line for a legend for each system, in its look."""
    return [sample(system, **look_of(system), ms=4, **style) for system in systems]


def swatch(label: str, *, color: str, alpha: float) -> Any:
    """A filled box for a legend."""
    from matplotlib.patches import Patch

    return Patch(color=color, alpha=alpha, label=label)
