import math

import numpy as np
import pytest
from scipy import stats

from bench.compare.paired import corrected
from bench.compare.price import PARTS, parts, ratio
from bench.statistics.intervals import holm

FIXED = {0: 0.0100, 1: 0.0104, 2: 0.0099}
MIXTURE = {0: 0.0116, 1: 0.0119, 2: 0.0116}
POLICY = {0: 0.0105, 1: 0.0107, 2: 0.0106}
ORACLE = {0: 0.0100, 1: 0.0103, 2: 0.0100}


def test_a_ratio_is_the_geometric_mean_over_seeds_with_students_interval_of_the_logarithms():
    one = ratio(MIXTURE, {**FIXED, 9: 1.0})
    logs = np.log([MIXTURE[s] / FIXED[s] for s in range(3)])
    low, high = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
    assert one.share.mean == pytest.approx(np.exp(logs.mean()) - 1)
    assert [one.share.low, one.share.high] == pytest.approx([np.exp(low) - 1, np.exp(high) - 1])
    assert one.shares[1] == pytest.approx(0.0119 / 0.0104 - 1)
    assert one.p == pytest.approx(stats.ttest_1samp(logs, 0).pvalue)
    assert (one.n, one.direction, one.verdict) == (3, 1, "worse")
    back = ratio(FIXED, MIXTURE)
    assert back.verdict == "better"
    assert (1 + back.share.mean) * (1 + one.share.mean) == pytest.approx(1)


def test_the_parts_multiply_over_the_seeds_that_have_them_all():
    made = parts(policy={**POLICY, 7: 1.0}, agnostic=MIXTURE, oracle=ORACLE, fixed=FIXED)
    factor = {name: 1 + getattr(made, name).share.mean for name in PARTS}
    assert factor["price"] * factor["gain"] == pytest.approx(factor["net"], rel=1e-12)
    assert factor["price"] * factor["possible"] == pytest.approx(factor["oracle"], rel=1e-12)
    fewer = parts(policy=POLICY, agnostic={0: 0.0116, 1: 0.0119}, oracle=ORACLE, fixed=FIXED)
    assert {getattr(fewer, name).n for name in PARTS} == {2}
    without = parts(policy=POLICY, agnostic=MIXTURE, oracle={}, fixed=FIXED)
    assert (without.net.n, without.oracle.share) == (3, None)


def test_one_seed_and_none_have_no_interval_and_no_verdict():
    one = ratio({0: 1.2}, {0: 1.0})
    assert one.share.mean == pytest.approx(0.2)
    assert math.isnan(one.share.low)
    assert (one.direction, one.verdict) == (0, "one seed: no interval")
    assert ratio({0: 1.0}, {1: 1.0}) == ratio({0: 0.0}, {0: 1.0})
    assert ratio({}, {}).verdict == "no seed in common"


def test_p_is_corrected_over_a_family_and_a_part_of_a_doubling_is_a_power():
    family = [ratio(MIXTURE, FIXED), ratio(POLICY, FIXED), ratio({0: 1.0}, {0: 2.0})]
    adjusted = [one.p for one in corrected(family)]
    assert adjusted[:2] == holm([one.p for one in family])[:2] != [one.p for one in family[:2]]
    assert ratio({0: 4.0}, {0: 1.0}).powered(0.5).share.mean == pytest.approx(1.0)
