import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.config.length_distributions import (
    TiltedLengths,
    TwoPointLengths,
    draw_lengths,
    shares_of,
    whole_counts,
)

CANDIDATES = (32, 64, 96, 128, 160, 192, 224, 256)


def mean_of(shares):
    return sum(length * share for length, share in shares.items())


def test_two_lengths_have_the_shares_that_make_the_mean():
    assert TwoPointLengths(low=64, high=256, mean=118).shares() == {64: 0.71875, 256: 0.28125}


@given(mean=st.floats(32.5, 255.5))
@settings(max_examples=30, deadline=None)
def test_tilted_shares_have_the_mean_and_fall_or_rise_geometrically(mean):
    shares = TiltedLengths(candidates=CANDIDATES, mean=mean).shares()
    assert sum(shares.values()) == pytest.approx(1)
    assert mean_of(shares) == pytest.approx(mean, rel=1e-9)
    values = np.array(list(shares.values()))
    ratios = values[1:] / values[:-1]
    assert ratios == pytest.approx(ratios[0], rel=1e-6)
    assert (ratios[0] < 1) == (mean < 144)


def test_a_tilt_of_nothing_is_uniform():
    shares = TiltedLengths(candidates=(1, 2, 3), mean=2).shares()
    assert list(shares.values()) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("count", [16, 64, 128])
def test_drawn_lengths_meet_the_mean_exactly_where_whole_images_can(count):
    shares = TiltedLengths(candidates=CANDIDATES, mean=118).shares()
    lengths = draw_lengths(shares, count, seed=0)
    assert abs(lengths.mean() - 118) <= 16 / count
    drawn = shares_of(lengths)
    assert all(abs(drawn.get(k, 0) - share) < 2.5 / count for k, share in shares.items())
    assert not np.array_equal(lengths, np.sort(lengths))
    assert np.array_equal(lengths, draw_lengths(shares, count, seed=0))
    other = draw_lengths(shares, count, seed=1)
    assert not np.array_equal(lengths, other)
    assert np.array_equal(np.sort(lengths), np.sort(other))


def test_the_papers_mean_is_met_to_the_token():
    assert (
        draw_lengths(TiltedLengths(candidates=CANDIDATES, mean=118).shares(), 128, seed=0).mean()
        == 118
    )
    assert (
        draw_lengths(TwoPointLengths(low=64, high=256, mean=118).shares(), 128, seed=0).mean()
        == 118
    )


def test_shares_that_are_none_are_refused():
    with pytest.raises(ValueError, match="sum to 1"):
        draw_lengths({1: 0.5, 2: 0.4}, 10, seed=0)


@given(weights=st.lists(st.floats(0.01, 1), min_size=1, max_size=6), count=st.integers(1, 50))
@settings(max_examples=30, deadline=None)
def test_whole_counts_sum_up_and_are_off_by_less_than_one(weights, count):
    shares = np.array(weights) / np.sum(weights)
    counts = whole_counts(shares, count)
    assert counts.sum() == count
    assert np.abs(counts - shares * count).max() < 1


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: TwoPointLengths(low=4, high=4, mean=4), "low, high: 4 and 4 must increase"),
        (lambda: TwoPointLengths(low=0, high=4, mean=2), "low, high: 0 and 4 must increase"),
        (lambda: TwoPointLengths(low=2, high=4, mean=4), "mean: 4 must lie between 2 and 4"),
        (lambda: TiltedLengths(candidates=(2,), mean=2), r"candidates: \[2\] must be two or more"),
        (lambda: TiltedLengths(candidates=(4, 2), mean=3), r"candidates: \[4, 2\]"),
        (lambda: TiltedLengths(candidates=(2, 4), mean=2), "mean: 2 must lie between 2 and 4"),
    ],
)
def test_distributions_without_such_a_mean_are_refused(make, expected):
    with pytest.raises(ValueError, match=expected):
        make()
