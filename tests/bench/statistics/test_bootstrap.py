import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.statistics import bootstrap
from bench.statistics.bootstrap import paired_bootstrap


def rng(seed=0):
    return np.random.default_rng(seed)


def test_it_is_scipys_bca():
    d = rng(1).lognormal(size=80)
    found = paired_bootstrap(d, rng(2), resamples=20_000)
    theirs = stats.bootstrap((d,), np.mean, n_resamples=20_000, method="BCa", rng=rng(3))
    low, high = theirs.confidence_interval
    width = high - low
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03 * width)
    assert (found.mean, found.n) == (d.mean(), 80)


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_covers_the_true_mean_of_skewed_differences(level):
    draws = rng(0).exponential(size=(1000, 150)) - 1
    intervals = [
        paired_bootstrap(d, generator, resamples=600, level=level)
        for d, generator in zip(draws, rng(1).spawn(1000), strict=True)
    ]
    coverage = np.mean([one.low <= 0 <= one.high for one in intervals])
    assert coverage == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 1000))


def test_it_misses_on_both_sides_alike_where_percentiles_do_not():
    draws = rng(0).lognormal(size=(800, 60)) - math.exp(0.5)
    missed = {"bca": [0, 0], "percentiles": [0, 0]}
    for d, generator in zip(draws, rng(1).spawn(800), strict=True):
        one = paired_bootstrap(d, generator, resamples=600)
        means = d[generator.integers(60, size=(600, 60))].mean(1)
        for name, (low, high) in (
            ("bca", (one.low, one.high)),
            ("percentiles", np.quantile(means, [0.025, 0.975])),
        ):
            missed[name][0] += low > 0
            missed[name][1] += high < 0
    (low, high), (percentile_low, percentile_high) = missed["bca"], missed["percentiles"]
    assert high / max(low, 1) < 0.5 * percentile_high / max(percentile_low, 1)
    assert low + high < percentile_low + percentile_high


def test_p_is_uniform_where_there_is_no_difference():
    draws = rng(3).normal(size=(1000, 100))
    found = [
        paired_bootstrap(d, generator, resamples=500).p
        for d, generator in zip(draws, rng(4).spawn(1000), strict=True)
    ]
    for level in (0.05, 0.5):
        allowed = 4 * math.sqrt(level * (1 - level) / 1000)
        assert np.mean(np.array(found) <= level) == pytest.approx(level, abs=allowed)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(-0.4, 0.4))
def test_p_and_the_interval_agree(seed, shift):
    d = rng(seed).exponential(size=40) - 1 + shift
    for level in (0.95, 0.8):
        one = paired_bootstrap(d, rng(seed), resamples=2000, level=level)
        if abs(one.p - (1 - level)) > 0.005:  # Quantiles lie between two resamples.
            assert (one.p < 1 - level) == (not one.low <= 0 <= one.high)


def test_the_generator_draws_and_the_blocks_change_nothing(monkeypatch):
    d = rng(1).normal(size=50)
    first = paired_bootstrap(d, rng(2), resamples=999)
    assert paired_bootstrap(d, rng(2), resamples=999) == first
    assert paired_bootstrap(d, rng(3), resamples=999) != first
    seen = []
    draw = np.random.Generator.integers

    class Watched:
        def __init__(self, generator):
            self.generator = generator

        def integers(self, *arguments, size, **options):
            seen.append(math.prod(size))
            return draw(self.generator, *arguments, size=size, **options)

    monkeypatch.setattr(bootstrap, "_CELLS", 170)
    again = paired_bootstrap(d, Watched(rng(2)), resamples=999)
    assert again == first
    assert max(seen) <= 170
    assert sum(seen) == 999 * 50


def test_more_resamples_show_smaller_p():
    d = rng(1).normal(loc=5, size=50)
    for resamples in (100, 2000):
        p = paired_bootstrap(d, rng(2), resamples=resamples).p
        assert 1 / resamples <= p < 2 / resamples


def test_differences_without_spread_are_certain():
    same, none = (paired_bootstrap([value] * 5, rng()) for value in (0.1, 0.0))
    assert (same.low, same.high, same.p) == (same.mean, same.mean, 0)
    assert (none.low, none.high, none.p) == (0, 0, 1)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.nan], [[1.0], [2.0]]])
def test_bad_differences_are_refused(values):
    with pytest.raises(ValueError, match="at least 2 finite differences"):
        paired_bootstrap(values, rng())


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        paired_bootstrap([1.0, 2.0], rng(), level=95)
    with pytest.raises(ValueError, match="resamples: must be 1 or more"):
        paired_bootstrap([1.0, 2.0], rng(), resamples=0)
