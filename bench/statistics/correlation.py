"""Spearman's correlation over images, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from bench.statistics.intervals import Interval


@dataclass(frozen=True)
class SpearmanInterval(Interval):
    """A rank correlation of `n` images."""

    over: ClassVar[str] = "images"
    method: ClassVar[str] = "Bonett-Wright"


def spearman_interval(rho: float, n: int, *, level: float = 0.95) -> SpearmanInterval:
    """The interval of Bonett and Wright (2000): Fisher's z with variance (1 + rho^2 / 2) / (n - 3).

    Args:
        rho: Spearman's correlation, -1 to 1.
        n: how many pairs; below 4 there are no bounds.
        level: of confidence, between 0 and 1.
    """
    if n < 4 or abs(rho) >= 1:
        bounds = (math.nan, math.nan) if n < 4 else (rho, rho)
        return SpearmanInterval(rho, *bounds, n)
    from scipy.special import ndtri  # It takes long to import.

    half = ndtri((1 + level) / 2) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    z = math.atanh(rho)
    return SpearmanInterval(rho, math.tanh(z - half), math.tanh(z + half), n)
