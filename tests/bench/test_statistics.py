import math

import numpy as np
import pytest

from bench.statistics import student_interval


def test_known_interval():
    interval = student_interval([1.0, 2.0, 3.0])
    half = 4.302653 / math.sqrt(3)  # t(0.975; 2 degrees of freedom), standard deviation 1
    assert interval.mean == 2
    assert interval.n == 3
    assert (interval.low, interval.high) == pytest.approx((2 - half, 2 + half), rel=1e-6)


def test_the_level_sets_the_width():
    narrow, wide = (student_interval([1.0, 2.0, 4.0], level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(("n", "level"), [(3, 0.95), (5, 0.8)])
def test_covers_the_true_mean_as_often_as_promised(n, level):
    rng = np.random.default_rng(0)
    draws = rng.normal(loc=3, scale=2, size=(2000, n))
    intervals = [student_interval(values, level=level) for values in draws]
    coverage = np.mean([interval.low <= 3 <= interval.high for interval in intervals])
    assert coverage == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 2000))


def test_one_seed_has_a_mean_and_no_interval():
    interval = student_interval([2.5])
    assert (interval.mean, interval.n) == (2.5, 1)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf, 1.0], [[1.0], [2.0]]])
def test_bad_values_are_refused(values):
    with pytest.raises(ValueError, match="finite"):
        student_interval(values)


def test_bad_levels_are_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        student_interval([1.0, 2.0], level=95)
