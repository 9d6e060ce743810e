import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.allocators.base import Seen
from bench.allocators.threshold import SEARCHES, ThresholdSearch, bisection, scan, threshold_meeting
from bench.errors import UserError

deterministic = settings(deadline=None, derandomize=True)
searches = st.sampled_from(sorted(SEARCHES))


@st.composite
def outcomes(draw):
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    return draw(arrays(np.bool_, shape))


@st.composite
def tables(draw):
    n, m = draw(st.integers(1, 6)), draw(st.integers(2, 6))
    budgets = np.array(sorted(draw(st.sets(st.integers(1, 40), min_size=m, max_size=m))))
    values = st.integers(0, 4).map(float) if draw(st.booleans()) else st.floats(0, 4, width=32)
    return draw(arrays(np.float64, (n, m), elements=values)), budgets


def by_hand(row):
    """One image by the definition: the first that passes, else the last; probing up to there."""
    for column, holds in enumerate(row[:-1]):
        if holds:
            return column, column + 1
    return len(row) - 1, len(row) - 1


@deterministic
@given(outcomes())
def test_a_scan_returns_the_first_that_passes(passes):
    found = scan(passes)
    for row, chosen, probes, probed in zip(
        passes, found.chosen, found.probes, found.probed, strict=True
    ):
        assert (chosen, probes) == by_hand(row)
        assert probed == (chosen < len(row) - 1)


@deterministic
@given(outcomes())
def test_a_bisection_returns_a_budget_that_passes(passes):
    """Whenever the full budget passes; otherwise one that does, or the full one."""
    found = bisection(passes)
    last = passes.shape[1] - 1
    for row, chosen, probes, probed in zip(
        passes, found.chosen, found.probes, found.probed, strict=True
    ):
        assert row[chosen] or chosen == last
        assert row[chosen] or not row[last]
        assert probes <= math.ceil(math.log2(last + 1))
        assert probed == (chosen < last)


@deterministic
@given(outcomes())
def test_where_curves_fall_bisection_and_scan_agree(passes):
    monotone = np.maximum.accumulate(passes, axis=1)
    found, expected = bisection(monotone), scan(monotone)
    np.testing.assert_array_equal(found.chosen, expected.chosen)
    np.testing.assert_array_equal(found.probed, expected.probed)


def test_probes_of_a_bisection_are_those_it_needs():
    # Of five candidates the middle is the third; then the second or the fourth, and so on.
    passes = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1], [0, 0, 0, 0, 1]], bool)
    found = bisection(passes)
    assert found.chosen.tolist() == [2, 0, 1, 4]
    assert found.probes.tolist() == [2, 3, 3, 2]


@deterministic
@given(tables(), searches, st.floats(0, 1))
def test_no_threshold_comes_nearer_to_the_mean(table, search, position):
    curves, budgets = table
    mean = float(budgets[0] + position * (budgets[-1] - budgets[0]))

    def short(level):
        return abs(budgets[SEARCHES[search](curves <= level).chosen].mean() - mean)

    threshold = threshold_meeting(curves, budgets, mean, search=search)
    levels = [-np.inf, *np.unique(curves)]
    assert short(threshold) <= min(map(short, levels)) + 1e-9


@deterministic
@given(tables(), searches, st.floats(0, 4), st.floats(0, 4))
def test_a_stricter_threshold_never_takes_fewer_tokens(table, search, one, other):
    curves, _ = table
    strict, loose = sorted((one, other))
    taken = [SEARCHES[search](curves <= level).chosen for level in (strict, loose)]
    assert (taken[0] >= taken[1]).all()


CURVES = np.array([[9.0, 5, 1, 0], [2, 1, 0, 0], [9, 9, 9, 9]])
BUDGETS = np.array([1, 2, 4, 8])


@pytest.mark.parametrize(
    ("search", "nested", "encoder", "decoder"),
    [
        ("scan", True, 1, (3 + 1 + 3) / 3),
        ("bisection", True, 1, 2),
        # The third image's answer, the full budget, was never probed.
        ("scan", False, (3 + 1 + 4) / 3, (3 + 1 + 3) / 3),
        ("bisection", False, (2 + 2 + 3) / 3, 2),
    ],
)
def test_every_probe_is_a_pass(search, nested, encoder, decoder):
    allocator = ThresholdSearch(budgets=BUDGETS, search=search, distortion=2.0)
    allocation = allocator.allocate(Seen(count=3, nested=nested, curves=CURVES))
    assert allocation.chosen.tolist() == [2, 0, 3]
    assert allocation.encoder_passes == pytest.approx(encoder)
    assert allocation.decoder_passes == pytest.approx(decoder)
    assert allocation.about == {"threshold": 2.0}


@pytest.mark.parametrize("mean", [0.9, 8.1])
def test_a_mean_outside_the_budgets_is_refused(mean):
    with pytest.raises(UserError, match="1 to 8"):
        threshold_meeting(CURVES, BUDGETS, mean, search="scan")
