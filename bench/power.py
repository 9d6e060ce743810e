"""What a comparison over seeds can detect: power of the paired t-test, two-sided."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, special, stats

QUANTILES = 2000


def minimum_detectable_effect(
    deviation: float, n: int, *, level: float = 0.95, power: float = 0.8
) -> float:
    """Smallest true mean difference that `n` paired seeds find with probability `power`.

    Args:
        deviation: standard deviation of the differences.
        n: paired seeds.
        level: of confidence; the test is at `1 - level`.
        power: between `1 - level` and 1.

    Returns:
        In the unit of `deviation`; NaN for fewer than 2 seeds.
    """
    if n < 2:
        return math.nan
    above = 1.0
    while _power(above, n, level) < power:
        above *= 2
    return deviation * float(optimize.brentq(lambda d: _power(d, n, level) - power, 0, above))


def seeds_needed(
    mean: float, deviation: float, *, level: float = 0.95, power: float = 0.8, at_most: int = 10_000
) -> int | None:
    """Fewest paired seeds, at least 2, that find a true mean difference with probability `power`.

    Args:
        mean: the difference to find.
        deviation: standard deviation of the differences.
        level: of confidence; the test is at `1 - level`.
        power: between `1 - level` and 1.
        at_most: where to give up.

    Returns:
        None where `at_most` seeds would not do, as for a difference of 0.
    """
    if math.isnan(mean) or math.isnan(deviation) or mean == 0:
        return None
    if deviation == 0:
        return 2
    effect = abs(mean) / deviation
    if _power(effect, at_most, level) < power:
        return None
    few, enough = 1, at_most  # The power grows with n.
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (middle, enough) if _power(effect, middle, level) < power else (few, middle)
    return enough


def _power(effect: float, n: int, level: float) -> float:
    """Probability that the test rejects where the mean is `effect` deviations.

    Over quantiles of the estimated deviation: SciPy's noncentral t is NaN for such arguments.
    """
    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    threshold = stats.t.ppf((1 + level) / 2, n - 1)
    bounds = threshold * np.sqrt(stats.chi2.ppf(middles, n - 1) / (n - 1))
    shift = effect * math.sqrt(n)
    return float((special.ndtr(shift - bounds) + special.ndtr(-shift - bounds)).mean())
