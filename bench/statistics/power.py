"""Power of the two-sided paired t-test: differences that a comparison over seeds could see."""

from __future__ import annotations

import functools
import math

import numpy as np

_NODES = 400


def t_test_power(effect: float, n: int, *, level: float = 0.95) -> float:
    """Chance that a t-test of `n` paired differences finds a mean of `effect` deviations.

    The tails of the noncentral t, averaged over what the standard deviation is estimated to be:
    SciPy's `nct` answers NaN for some of these arguments. NaN where n < 2.
    """
    if n < 2:
        return math.nan
    from scipy import special  # It takes long to import.

    quantile = float(special.stdtrit(n - 1, (1 + level) / 2))
    spread, weights = _estimates_of_one(n - 1)
    shift = effect * math.sqrt(n)
    tails = special.ndtr(shift - quantile * spread) + special.ndtr(-shift - quantile * spread)
    return float(weights @ tails)


@functools.cache
def _estimates_of_one(freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """Estimates of a standard deviation of 1 at Gauss-Legendre points of their distribution."""
    from scipy.special import gammaincinv

    points, weights = np.polynomial.legendre.leggauss(_NODES)
    return np.sqrt(2 * gammaincinv(freedom / 2, (points + 1) / 2) / freedom), weights / 2


def minimum_detectable_effect(
    sd: float, n: int, *, level: float = 0.95, power: float = 0.8
) -> float:
    """The smallest true mean difference that `n` seeds would find with the chance `power`.

    Args:
        sd: standard deviation of the differences, as observed.
        n: number of paired seeds.
        level: of confidence; the test is at `1 - level`, two-sided.
        power: between `1 - level` and 1.

    Returns:
        In the unit of `sd`; NaN for fewer than 2 seeds, or where `sd` is NaN.
    """
    if n < 2 or math.isnan(sd):
        return math.nan
    return sd * _detectable(n, level, power)


@functools.cache
def _detectable(n: int, level: float, power: float) -> float:
    """The minimum detectable effect in standard deviations."""
    from scipy import optimize  # It takes long to import.

    above = 1.0
    while t_test_power(above, n, level=level) < power:
        above *= 2
    return float(
        optimize.brentq(lambda effect: t_test_power(effect, n, level=level) - power, 0, above)
    )


def seeds_needed(
    mean: float, sd: float, *, level: float = 0.95, power: float = 0.8, at_most: int = 10_000
) -> int | None:
    """The fewest seeds with which a true difference of `mean` is found with the chance `power`.

    Args:
        mean: the difference to find, as observed.
        sd: standard deviation of the differences, as observed.
        level: of confidence; the test is at `1 - level`, two-sided.
        power: between `1 - level` and 1.
        at_most: where to give up.

    Returns:
        2 or more; None where even `at_most` would not do, or where `mean` or `sd` is NaN.
    """
    if math.isnan(mean) or math.isnan(sd) or mean == 0:
        return None
    if sd == 0:
        return 2
    effect = abs(mean) / sd
    if t_test_power(effect, at_most, level=level) < power:
        return None
    few, enough = 1, at_most  # The power grows with n.
    while enough - few > 1:
        middle = (few + enough) // 2
        if t_test_power(effect, middle, level=level) < power:
            few = middle
        else:
            enough = middle
    return enough
