import math

import numpy as np
import pytest
from scipy import stats

from bench.statistics.bootstrap import BootstrapInterval
from bench.statistics.intervals import (
    PairedDifference,
    StudentInterval,
    holm,
    paired_difference,
    student_interval,
)


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


@pytest.mark.parametrize(("n", "level"), [(2, 0.9), (5, 0.95)])
def test_a_paired_difference_covers_as_often_whatever_the_pairs_share(n, level):
    rng = np.random.default_rng(1)
    covered = []
    for shared, own in zip(
        rng.normal(scale=10, size=(2000, n)), rng.normal(size=(2000, 2, n)), strict=True
    ):
        a, b = shared + own[0] + 0.5, shared + own[1]
        found = paired_difference(dict(enumerate(a)), dict(enumerate(b)), level=level)
        covered.append(found.low <= 0.5 <= found.high)
    allowed = 4 * math.sqrt(level * (1 - level) / 2000)
    assert np.mean(covered) == pytest.approx(level, abs=allowed)


def test_an_interval_says_what_it_is_over():
    assert StudentInterval.kind() == PairedDifference.kind() == "Student t over seeds"
    assert BootstrapInterval.kind() == "BCa bootstrap over images"
    kinds = student_interval([1.0, 2.0]).over, paired_difference({0: 1.0}, {0: 2.0}).over
    assert kinds == ("seeds", "seeds")


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


def test_a_paired_difference_is_the_paired_t_test():
    a = {0: 1.0, 1: 2.5, 2: 2.0, 3: 4.0}
    b = {3: 3.0, 2: 1.5, 1: 1.0, 0: 0.8}  # the order of the seeds does not matter
    expected = stats.ttest_rel(list(a.values()), [b[seed] for seed in a])
    difference = paired_difference(a, b)
    assert difference.p == pytest.approx(expected.pvalue)
    assert difference.mean == pytest.approx(0.8)
    low, high = expected.confidence_interval(0.95)
    assert (difference.low, difference.high) == pytest.approx((low, high))
    assert difference.half == pytest.approx((high - low) / 2)
    assert paired_difference(a, b, level=0.5).half < difference.half
    assert difference.sd == pytest.approx(np.std([0.2, 1.5, 0.5, 1.0], ddof=1))


def test_only_common_seeds_are_paired():
    difference = paired_difference({0: 1.0, 1: 3.0, 7: 99.0}, {1: 2.0, 0: 0.5, 8: -99.0})
    assert (difference.n, difference.mean) == (2, 0.75)
    with pytest.raises(ValueError, match="finite"):
        paired_difference({0: 1.0}, {1: 1.0})


def test_one_pair_has_a_difference_and_no_p():
    difference = paired_difference({4: 2.0}, {4: 0.5})
    assert (difference.mean, difference.n) == (1.5, 1)
    assert math.isnan(difference.p)
    assert math.isnan(difference.sd)
    assert math.isnan(difference.low)


def test_differences_without_spread_are_certain():
    assert paired_difference({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}).p == 1
    assert paired_difference({0: 1.0, 1: 2.0}, {0: 0.0, 1: 1.0}).p == 0


def test_holm_by_hand():
    # Sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, each at least the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_keeps_what_is_unknown_out_of_the_family():
    adjusted = holm([0.02, math.nan, 0.01])
    assert adjusted[::2] == pytest.approx([0.02, 0.02])
    assert math.isnan(adjusted[1])
