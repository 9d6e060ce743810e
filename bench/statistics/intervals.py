"""Intervals that say what they are over; Student's over seeds, paired or not; Holm's correction.

Seeds and images are two variances: an interval over seeds says how much another training would
change the value, one over images how much other images would, for the same trained networks.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean of `n` values and its two-sided confidence interval; NaN bounds where n = 1.

    `over` says what the values are of, `method` how the interval is made.
    """

    over: ClassVar[str]
    method: ClassVar[str]

    mean: float
    low: float
    high: float
    n: int

    @classmethod
    def kind(cls) -> str:
        """`Student t over seeds`, for captions."""
        return f"{cls.method} over {cls.over}"

    @property
    def half(self) -> float:
        """Half the interval's width; NaN where n = 1."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class StudentInterval(Interval):
    """A mean over seeds, by Student's t."""

    over: ClassVar[str] = "seeds"
    method: ClassVar[str] = "Student t"


@dataclass(frozen=True)
class PairedDifference(StudentInterval):
    """The mean of differences within pairs; `p` is two-sided, `sd` theirs; both NaN where n = 1."""

    p: float
    sd: float


def student_interval(values: Sequence[float], *, level: float = 0.95) -> StudentInterval:
    """Confidence interval of a mean by Student's t, which covers well from 3 seeds on.

    Args:
        values: one per seed.
        level: of confidence, between 0 and 1.

    Raises:
        ValueError: no values, values that are not finite, or a level outside (0, 1).
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"an interval needs a list of finite values, one per seed, not {values}")
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not {level}")
    mean = float(x.mean())
    if x.size == 1:
        return StudentInterval(mean, math.nan, math.nan, 1)
    from scipy.special import stdtrit  # SciPy takes long to import, and listings need it not.

    half = stdtrit(x.size - 1, (1 + level) / 2) * x.std(ddof=1) / math.sqrt(x.size)
    return StudentInterval(mean, float(mean - half), float(mean + half), int(x.size))


def paired_difference(
    a: Mapping[Hashable, float], b: Mapping[Hashable, float], *, level: float = 0.95
) -> PairedDifference:
    """Mean of `a - b` over the seeds that both have, by the paired t-test.

    Args:
        a: value per seed.
        b: value per seed; seeds that only one of the two has are left out.
        level: of confidence, between 0 and 1.

    Raises:
        ValueError: no seed in common, values that are not finite, or a level outside (0, 1).
    """
    differences = np.array([a[seed] - b[seed] for seed in a if seed in b], dtype=np.float64)
    interval = student_interval(differences.tolist(), level=level)
    sd = float(differences.std(ddof=1)) if differences.size > 1 else math.nan
    return PairedDifference(
        interval.mean, interval.low, interval.high, interval.n, _two_sided_p(differences), sd
    )


def _two_sided_p(differences: np.ndarray) -> float:
    """P-value of a mean of 0; 1 where all differences are 0, 0 where all are one other number."""
    if differences.size == 1:
        return math.nan
    error = differences.std(ddof=1) / math.sqrt(differences.size)
    if error == 0:
        return float(differences.mean() == 0)
    from scipy.special import stdtr

    return float(2 * stdtr(differences.size - 1, -abs(differences.mean()) / error))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment of a family of p-values, in the order given.

    NaNs stay NaN and do not count as members of the family.
    """
    p = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted = np.full(p.shape, math.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return [float(value) for value in adjusted]
