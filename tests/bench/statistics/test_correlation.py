import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics.correlation import spearman_interval


@given(st.floats(-0.99, 0.99), st.integers(4, 10_000))
def test_the_interval_holds_the_correlation_and_mirrors_with_it(rho, n):
    over, mirrored = spearman_interval(rho, n), spearman_interval(-rho, n)
    assert -1 <= over.low <= rho <= over.high <= 1
    assert (over.low, over.high) == pytest.approx((-mirrored.high, -mirrored.low))


def test_too_few_pairs_have_no_bounds_and_certainty_has_no_width():
    assert math.isnan(spearman_interval(0.5, 3).low)
    assert (spearman_interval(1.0, 10).low, spearman_interval(-1.0, 10).high) == (1.0, -1.0)


def test_it_covers_the_correlation_of_normal_pairs():
    rng = np.random.default_rng(0)
    pearson, n, repeats = 0.6, 80, 1500
    truth = 6 / math.pi * math.asin(pearson / 2)
    x = rng.normal(size=(repeats, n))
    y = pearson * x + math.sqrt(1 - pearson**2) * rng.normal(size=(repeats, n))
    ranks = [np.argsort(np.argsort(v, axis=1), axis=1) - (n - 1) / 2 for v in (x, y)]
    rho = (ranks[0] * ranks[1]).sum(1) / (n * (n**2 - 1) / 12)
    covered = [s.low <= truth <= s.high for s in (spearman_interval(r, n) for r in rho)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)
