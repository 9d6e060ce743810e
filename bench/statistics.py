"""Student intervals over training seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class StudentInterval:
    """A mean over `n` seeds and its two-sided confidence interval; NaN bounds where n = 1."""

    mean: float
    low: float
    high: float
    n: int


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
    half = stats.t.ppf((1 + level) / 2, x.size - 1) * x.std(ddof=1) / math.sqrt(x.size)
    return StudentInterval(mean, float(mean - half), float(mean + half), int(x.size))
