"""Marks that figures share: means with their intervals, rows of systems, samples for a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.statistics.intervals import Interval

SINGLE = (math.nan, math.nan, 1)  # bounds and number of a value by itself


def ends(over: Interval, *, times: float = 1) -> tuple[float, float, float, int]:
    """Mean and bounds, multiplied, and number: of a row of a figure's data."""
    return times * over.mean, times * over.low, times * over.high, over.n


def draw_intervals(
    axes: Any,
    x: Any,
    y: Any,
    means: pd.DataFrame,
    *,
    color: str,
    width: float = 0.7,
    across: bool = False,
    **style: Any,
) -> None:
    """Draw the bounds of means as lines; means without bounds have none.

    Args:
        axes: to draw into.
        x: places of the means, one per row.
        y: the same.
        means: with the columns `low` and `high`.
        color: of the lines.
        width: of the lines, in points.
        across: the means are on the x axis, not on the y axis.
        style: more for `errorbar`.
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
    """Draw a mean as a marker, with its interval where it is of several.

    Args:
        axes: to draw into.
        x: its place.
        y: the same.
        mean: with the attributes `low`, `high` and `n`.
        across: the mean is on the x axis, not on the y axis.
        style: for `errorbar`.
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


def swatch(label: str, *, color: str, alpha: float) -> Any:
    """A filled box for a legend."""
    from matplotlib.patches import Patch

    return Patch(color=color, alpha=alpha, label=label)
