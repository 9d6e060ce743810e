"""Paired bootstrap over images: for differences of per-image metrics, never for a Fréchet distance.

Resampling images with replacement biases a Fréchet distance upwards by more than its interval's
width; a mean over images it does not bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from bench.statistics.intervals import Interval

RESAMPLES = 10_000
_CELLS = 1 << 18  # Indices held at a time: 1 MB of them, 2 MB of values.


@dataclass(frozen=True)
class BootstrapInterval(Interval):
    """The mean difference over images; `p` is two-sided, as small as the resamples can show."""

    over: ClassVar[str] = "images"
    method: ClassVar[str] = "BCa bootstrap"

    p: float


def paired_bootstrap(
    differences: ArrayLike,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> BootstrapInterval:
    """Mean of per-image differences, with a BCa interval (Efron 1987) over resampled images.

    BCa and not percentiles: differences of distortions are skewed, and there percentile intervals
    miss on one side several times as often as on the other. For a mean its acceleration has a
    closed form, so it costs no more. `p` is twice the smallest one-sided level at which the
    interval leaves out 0.

    Args:
        differences: `[n]`, one per image.
        rng: draws the resamples.
        resamples: how many; memory does not grow with them times n.
        level: of confidence, between 0 and 1.

    Raises:
        ValueError: fewer than 2 differences, values that are not finite, no resamples, or a level
            outside (0, 1).
    """
    from scipy.special import ndtr, ndtri  # It takes long to import.

    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or d.size < 2 or not np.isfinite(d).all():
        raise ValueError("a bootstrap needs a list of at least 2 finite differences, one per image")
    if resamples < 1:
        raise ValueError(f"resamples: must be 1 or more, not {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not {level}")
    mean = float(d.mean())
    centred = d - mean
    if np.ptp(d) == 0:
        return BootstrapInterval(mean, mean, mean, d.size, float(mean == 0))
    acceleration = float((centred**3).sum() / (6 * (centred**2).sum() ** 1.5))
    means = _resampled_means(d, rng, resamples)
    bias = _normal_rank(means, mean)
    tails = ndtri([(1 - level) / 2, (1 + level) / 2])
    ranks = ndtr(bias + (bias + tails) / (1 - acceleration * (bias + tails)))
    low, high = np.quantile(means, ranks)
    shift = _normal_rank(means, 0.0) - bias
    below = float(ndtr(shift / (1 + acceleration * shift) - bias))
    p = min(1.0, max(2 * min(below, 1 - below), 1 / resamples))
    return BootstrapInterval(mean, float(low), float(high), d.size, p)


def _resampled_means(d: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """Means of `resamples` samples with replacement, a bounded number of cells at a time."""
    rows = max(1, _CELLS // d.size)
    parts = [
        d[rng.integers(d.size, size=(min(rows, resamples - done), d.size), dtype=np.int32)].mean(1)
        for done in range(0, resamples, rows)
    ]
    return np.concatenate(parts)


def _normal_rank(means: np.ndarray, value: float) -> float:
    """Share of the means below `value`, ties halved, as a normal quantile; never infinite."""
    share = float(np.mean(means < value) + np.mean(means == value) / 2)
    least = 1 / (2 * len(means))
    from scipy.special import ndtri

    return float(ndtri(min(max(share, least), 1 - least)))
