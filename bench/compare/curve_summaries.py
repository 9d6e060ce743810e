"""One number per curve of quality over tokens or bits: BD-rate, area under it, hypervolume.

A curve is of one trained tokenizer: summarise each seed's, then average; a summary of averaged
curves is another number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.metrics.declared import declared_metric
from bench.statistics.pareto import hypervolume

LEAST_POINTS = 4
LEAST_OVERLAP = 0.5
METHOD = "akima"


@dataclass(frozen=True)
class Curve:
    """Quality (larger is better) at increasing rates, in tokens or bits per image."""

    rates: tuple[float, ...]
    quality: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.quality) or not self.rates:
            raise ValueError("a curve needs a quality for each of its rates, and at least one")
        if not np.isfinite([*self.rates, *self.quality]).all() or min(self.rates) <= 0:
            raise ValueError("a curve needs finite values at positive rates")
        if (np.diff(self.rates) <= 0).any():
            raise ValueError("a curve's rates must increase")


@dataclass(frozen=True)
class BDRate:
    """Mean difference in rate at equal quality, in per cent; negative needs less.

    `overlap` is the range of quality that both curves reach as a share of what either reaches;
    `points` how many points the shorter curve has.
    """

    percent: float
    overlap: float
    points: int


def quality_of(metric: str, values: Sequence[float]) -> tuple[float, ...]:
    """A metric's values with larger better: as they are, or minus the logarithm of a distance.

    Raises:
        ValueError: a distance that is 0 or less has no logarithm.
        UserError: there is no such metric.
    """
    if declared_metric(metric).higher_is_better:
        return tuple(map(float, values))
    if min(values) <= 0:
        raise ValueError(f"{metric} is 0 or less somewhere: it has no logarithm")
    return tuple(map(float, -np.log(values)))


def bd_rate(curve: Curve, reference: Curve) -> BDRate:
    """Bjøntegaard's delta rate of `curve` against `reference`, by package `bjontegaard`.

    Akima interpolation of the logarithm of the rate over quality, found more accurate and stable
    than cubics (Herglotz et al. 2022, arXiv 2202.12565). Stretching or shifting the quality of both
    curves changes nothing.

    Raises:
        ValueError: fewer than 4 points, quality that does not increase with the rate, or curves
            that share less than half of the range of quality that they span.
    """
    from bjontegaard import bd_rate as delta  # It imports pyplot, which takes a second.

    points = min(len(curve.rates), len(reference.rates))
    if points < LEAST_POINTS:
        raise ValueError(f"{points} points, and a BD-rate needs {LEAST_POINTS}")
    for one in (curve, reference):
        if (np.diff(one.quality) <= 0).any():
            raise ValueError("quality does not increase with the rate throughout")
    overlap = _overlap(curve, reference)
    if overlap < LEAST_OVERLAP:
        raise ValueError(f"the curves share {overlap:.0%} of their quality, a BD-rate needs half")
    percent = delta(
        np.array(reference.rates, dtype=np.float64),
        np.array(reference.quality),
        np.array(curve.rates, dtype=np.float64),
        np.array(curve.quality),
        method=METHOD,
        require_matching_points=False,
        min_overlap=0,
    )
    return BDRate(float(percent), overlap, points)


def _overlap(a: Curve, b: Curve) -> float:
    low, high = max(a.quality[0], b.quality[0]), min(a.quality[-1], b.quality[-1])
    whole = max(a.quality[-1], b.quality[-1]) - min(a.quality[0], b.quality[0])
    return max(0.0, high - low) / whole


def area_under(curve: Curve) -> float:
    """Area under the quality over log2 of the rate, by the trapezoid rule: quality times octaves.

    Comparable between curves of one grid only: see `require_one_grid`.

    Raises:
        ValueError: there is one rate only.
    """
    if len(curve.rates) < 2:
        raise ValueError("1 point, and an area needs 2")
    return float(np.trapezoid(curve.quality, np.log2(curve.rates)))


def require_one_grid(curves: Sequence[Curve]) -> None:
    """Refuse to set areas over different rates side by side.

    Raises:
        ValueError: names the first two grids that differ.
    """
    for curve in curves[1:]:
        if curve.rates != curves[0].rates:
            ours, theirs = ("-".join(f"{r:g}" for r in one.rates) for one in (curves[0], curve))
            raise ValueError(f"other rates: {ours} and {theirs}")


@dataclass(frozen=True)
class HypervolumeReference:
    """The corner against which hypervolumes are taken; store it with their values."""

    rate: float
    quality: float


def curve_hypervolume(curve: Curve, reference: HypervolumeReference) -> float:
    """Hypervolume in octaves of rate below the reference's, times quality above the reference's.

    Points that are beyond the reference in either add nothing.
    """
    octaves = np.log2(reference.rate / np.array(curve.rates))
    points = np.column_stack([octaves, curve.quality])
    return hypervolume(points, (0.0, reference.quality))
