import math

import numpy as np
import pytest
from scipy import stats

from bench.statistics.power import minimum_detectable_effect, seeds_needed, t_test_power


def test_known_answers():
    # Cohen's tables: a paired effect of 0.5 deviations takes 34 pairs, of 0.8 it takes 15.
    assert seeds_needed(0.5, 1.0) == 34
    assert seeds_needed(-0.8, 1.0) == 15
    assert seeds_needed(1.0, 2.0) == 34
    assert minimum_detectable_effect(1.0, 34) < 0.5 < minimum_detectable_effect(1.0, 33)


@pytest.mark.parametrize(("effect", "n"), [(0.0, 2), (0.7, 3), (0.4, 10), (0.28, 100)])
def test_the_power_is_that_of_the_noncentral_t(effect, n):
    shift, threshold = effect * math.sqrt(n), stats.t.ppf(0.975, n - 1)
    tails = stats.nct.sf(threshold, n - 1, shift) + stats.nct.cdf(-threshold, n - 1, shift)
    assert t_test_power(effect, n) == pytest.approx(tails, abs=1e-6)


def test_few_seeds_see_less_than_the_normal_approximation_says():
    for n, times in ((2, 5), (3, 1.9), (5, 1.3), (1000, 1.0005)):
        normal = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / math.sqrt(n)
        assert minimum_detectable_effect(1.0, n) > times * normal
    assert math.isnan(t_test_power(1.0, 1))
    assert math.isnan(minimum_detectable_effect(math.nan, 5))


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_a_simulation_detects_the_effect_as_often_as_is_said(n):
    effect = minimum_detectable_effect(3.0, n, power=0.7)
    x = np.random.default_rng(0).normal(effect, 3.0, size=(20000, n))
    found = stats.ttest_1samp(x, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.7, abs=4 * math.sqrt(0.7 * 0.3 / 20000))


def test_the_two_agree():
    for n in (2, 4, 9):
        assert seeds_needed(minimum_detectable_effect(2.0, n) * 1.0001, 2.0) == n
    assert seeds_needed(0.5, 1.0, power=0.9) > 34 > seeds_needed(0.5, 1.0, level=0.9)


def test_where_there_is_no_answer():
    assert math.isnan(minimum_detectable_effect(1.0, 1))
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(math.nan, 1.0) is None
    assert seeds_needed(1.0, math.nan) is None
    assert seeds_needed(0.5, 1.0, at_most=33) is None
    assert seeds_needed(1.0, 0.0) == 2
