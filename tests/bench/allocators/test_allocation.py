import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.allocators.allocation import (
    agnostic_curve,
    allocation_skill,
    budget_shares,
    expected_skill,
    fixed_allocation,
    is_collapsed,
    lower_hull,
    oracle_allocation,
    oracle_curve,
    shuffled_allocation,
    skill_at,
)
from bench.allocators.base import Seen
from bench.allocators.mixture import agnostic
from bench.errors import UserError

deterministic = settings(deadline=None, derandomize=True)
finite = st.floats(0, 10, allow_subnormal=False).map(lambda x: round(x, 6))


@st.composite
def tables(draw, max_images=5, max_budgets=4):
    """A distortion table and its budgets, with ties and curves that rise as well as fall."""
    n = draw(st.integers(1, max_images))
    budgets = draw(st.sets(st.integers(1, 20), min_size=1, max_size=max_budgets))
    values = st.integers(0, 5).map(float) if draw(st.booleans()) else finite
    return draw(arrays(np.float64, (n, len(budgets)), elements=values)), np.array(sorted(budgets))


def every_allocation(d, b):
    """(mean tokens, mean distortion) of all M^n allocations."""
    n, m = d.shape
    for chosen in itertools.product(range(m), repeat=n):
        yield b[list(chosen)].mean(), d[np.arange(n), list(chosen)].mean()


def falling_table(n, seed, budgets=(2, 4, 8, 16)):
    """Images of different complexity: distortion falls with tokens, each at its own pace."""
    rng = np.random.default_rng(seed)
    b = np.array(budgets)
    return np.exp(-b / rng.uniform(1, 12, size=(n, 1))) * rng.uniform(0.5, 2, size=(n, 1)), b


def agnostic_allocation(d, b, mean_tokens, rng):
    """The agnostic mixture with the table's own mean curve."""
    mean_curve, seed = d.mean(axis=0), int(rng.integers(2**32))
    mixture = agnostic(b, mean_curve=mean_curve, mean_budget=mean_tokens, seed=seed)
    return mixture.allocate(Seen(count=len(d))).chosen


def test_hull_of_a_known_curve():
    b = np.array([1, 2, 4, 8, 16])
    assert lower_hull(b, np.array([10, 9, 4, 3.9, 0])).tolist() == [0, 2, 4]
    assert lower_hull(b, np.array([16, 15, 13, 9, 1])).tolist() == [0, 4]  # a straight line
    assert lower_hull(b, np.array([1, 0, 2, 3, 4])).tolist() == [0, 1, 4]  # rises in the end
    assert lower_hull(b[:1], np.array([3])).tolist() == [0]


@deterministic
@given(tables(max_images=1, max_budgets=8))
def test_hull_is_convex_and_below_the_curve(table):
    (curve,), b = table
    hull = lower_hull(b, curve)
    assert hull[[0, -1]].tolist() == [0, len(b) - 1]
    assert (np.interp(b, b[hull], curve[hull]) <= curve + 1e-9).all()
    slopes = np.diff(curve[hull]) / np.diff(b[hull])
    assert (np.diff(slopes) > 0).all()


def test_known_oracle():
    b = np.array([1, 3])
    d = np.array([[10.0, 4.0], [1.0, 0.0]])
    curve = oracle_curve(d, b)
    assert curve.tokens.tolist() == [1, 2, 3]
    assert curve.distortion.tolist() == [5.5, 2.5, 2]
    assert agnostic_curve(d, b).at(2) == 3.75
    assert oracle_allocation(d, b, 2).tolist() == [1, 0]
    assert allocation_skill(d, b, np.array([1, 0])) == 1
    assert allocation_skill(d, b, np.array([0, 1])) == -1


@deterministic
@given(tables())
def test_oracle_is_the_hull_of_all_allocations(table):
    d, b = table
    curve = oracle_curve(d, b)
    reachable = list(every_allocation(d, b))
    for tokens, distortion in reachable:
        assert curve.at(tokens) <= distortion + 1e-9
    for tokens, distortion in zip(curve.tokens, curve.distortion, strict=True):
        assert any(
            math.isclose(tokens, t, abs_tol=1e-9) and math.isclose(distortion, v, abs_tol=1e-9)
            for t, v in reachable
        )


def test_oracle_agrees_with_a_sweep_of_the_lagrangian():
    d, b = falling_table(500, 0)
    curve = oracle_curve(d, b)
    for price in np.geomspace(1e-5, 1, 60):
        chosen = (d + price * b).argmin(axis=1)
        reached = d[np.arange(len(d)), chosen].mean()
        assert curve.at(b[chosen].mean()) == pytest.approx(reached, rel=1e-12)


@deterministic
@given(tables(max_images=30, max_budgets=6), st.floats(0, 1))
def test_oracle_allocation_hits_its_mean_and_lies_on_the_curve(table, position):
    d, b = table
    requested = b[0] + position * (b[-1] - b[0])
    chosen = oracle_allocation(d, b, requested)
    tokens = b[chosen].mean()
    widest = b[-1] - b[0]
    assert requested - widest / len(d) - 1e-9 <= tokens <= requested + 1e-9
    reached = d[np.arange(len(d)), chosen].mean()
    assert reached == pytest.approx(oracle_curve(d, b).at(tokens), abs=1e-9)


@deterministic
@given(tables(max_images=30, max_budgets=6))
def test_the_curve_starts_and_ends_at_the_extreme_budgets(table):
    d, b = table
    curve = oracle_curve(d, b)
    assert (curve.tokens[0], curve.tokens[-1]) == (b[0], b[-1])
    ends = curve.distortion[[0, -1]]
    np.testing.assert_allclose(ends, d.mean(axis=0)[[0, -1]], atol=1e-9)
    assert oracle_allocation(d, b, b[0]).tolist() == [0] * len(d)
    assert oracle_allocation(d, b, b[-1]).tolist() == [len(b) - 1] * len(d)


def test_skill_is_one_at_every_vertex_of_the_oracle():
    d, b = falling_table(49, 1)  # 49 * (k / 49) rounds below k for some k
    for tokens in oracle_curve(d, b).tokens[1:-1]:
        chosen = oracle_allocation(d, b, tokens)
        assert b[chosen].mean() == pytest.approx(tokens, rel=1e-12)
        assert allocation_skill(d, b, chosen) == pytest.approx(1, abs=1e-9)


def test_skill_is_zero_at_the_vertices_of_the_agnostic_hull():
    d, b = falling_table(40, 2)
    rng = np.random.default_rng(0)
    hull = lower_hull(b, d.mean(axis=0))
    assert len(hull) > 2
    for index in hull[1:-1]:
        chosen = agnostic_allocation(d, b, b[index], rng)
        assert (chosen == index).all()
        assert allocation_skill(d, b, chosen) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("control", ["agnostic", "shuffled"])
def test_ignoring_the_image_has_no_skill_on_average(control):
    d, b = falling_table(60, 3)
    rng = np.random.default_rng(0)
    oracle = oracle_allocation(d, b, 5)
    draw = {
        "agnostic": lambda: agnostic_allocation(d, b, 5, rng),
        "shuffled": lambda: shuffled_allocation(oracle, rng),
    }[control]
    skills = np.array([allocation_skill(d, b, draw()) for _ in range(200)])
    error = skills.std() / math.sqrt(len(skills))
    assert skills.mean() < 3 * error
    if control == "agnostic":
        assert skills.mean() == pytest.approx(0, abs=3 * error)


@deterministic
@given(tables(max_images=20, max_budgets=6), st.integers(0, 100))
def test_no_shuffled_allocation_has_skill_in_expectation(table, seed):
    d, b = table
    chosen = np.random.default_rng(seed).integers(len(b), size=len(d))
    skill = expected_skill(d, b, chosen)
    assert math.isnan(skill) or skill <= 1e-6


@deterministic
@given(tables(max_images=6, max_budgets=3), st.data())
def test_expected_skill_is_the_mean_over_all_permutations(table, data):
    d, b = table
    chosen = np.array(data.draw(st.permutations([i % len(b) for i in range(len(d))])))
    orders = itertools.permutations(chosen.tolist())
    skills = [allocation_skill(d, b, np.array(order)) for order in orders]
    assert expected_skill(d, b, chosen) == pytest.approx(np.mean(skills), abs=1e-6, nan_ok=True)


@deterministic
@given(st.floats(0.05, 0.95), st.integers(0, 50))
def test_the_agnostic_mixture_has_exactly_no_skill_in_expectation(position, seed):
    d, b = falling_table(300, seed)
    chosen = agnostic_allocation(d, b, 2 + 14 * position, np.random.default_rng(seed))
    assert expected_skill(d, b, chosen) == pytest.approx(0, abs=1e-9)


def test_skill_of_what_no_budgets_reach():
    """Lengths that lie between the candidates are judged by the curves at their mean."""
    b = np.array([1, 3])
    d = np.array([[10.0, 4.0], [1.0, 0.0]])
    assert skill_at(d, b, tokens=2, reached=3.75) == 0
    assert skill_at(d, b, tokens=2, reached=2.5) == 1
    assert skill_at(d, b, tokens=2, reached=2.0) == pytest.approx(1.4)
    assert math.isnan(skill_at(d, b, tokens=0.9, reached=1))
    assert math.isnan(skill_at(d, b, tokens=3.1, reached=1))


def test_shuffling_keeps_the_budgets_and_moves_them():
    chosen = np.repeat([0, 1, 2], 20)
    shuffled = shuffled_allocation(chosen, np.random.default_rng(0))
    assert (np.sort(shuffled) == chosen).all()
    assert (shuffled != chosen).any()


@deterministic
@given(tables(max_images=1, max_budgets=8), st.integers(0, 100), st.data())
def test_no_allocation_beats_the_oracle_at_its_mean(table, seed, data):
    b = table[1]
    d = np.random.default_rng(seed).random((20, len(b)))
    indices = st.lists(st.integers(0, len(b) - 1), min_size=20, max_size=20)
    chosen = np.array(data.draw(indices))
    skill = allocation_skill(d, b, chosen)
    assert math.isnan(skill) or skill <= 1 + 1e-9


def test_skill_is_undefined_where_the_image_cannot_matter():
    d, b = falling_table(10, 4)
    for extreme in (0, len(b) - 1):
        assert math.isnan(allocation_skill(d, b, np.full(10, extreme)))
    same = np.repeat(d[:1], 10, axis=0)
    assert math.isnan(allocation_skill(same, b, np.arange(10) % 4))


@pytest.mark.parametrize("control", ["agnostic", "fixed"])
@deterministic
@given(
    n=st.integers(1, 200),
    budgets=st.sets(st.integers(1, 50), min_size=1, max_size=6).map(sorted),
    position=st.floats(0, 1),
)
def test_mixtures_hit_the_mean_with_two_neighbours(control, n, budgets, position):
    rng = np.random.default_rng(0)
    d, b = falling_table(n, 5, budgets)
    requested = b[0] + position * (b[-1] - b[0])
    if control == "agnostic":
        usable = lower_hull(b, d.mean(axis=0))
        chosen = agnostic_allocation(d, b, requested, rng)
    else:
        usable = np.arange(len(b))
        chosen = fixed_allocation(b, n, requested, rng)
    assert chosen.shape == (n,)
    used = np.searchsorted(usable, np.unique(chosen))
    assert np.isin(chosen, usable).all()
    assert used[-1] - used[0] <= 1
    step = np.diff(b[usable]).max(initial=0)
    assert abs(b[chosen].mean() - requested) <= step / (2 * n) + 1e-9


def test_which_images_get_more_is_random_and_seeded():
    b = np.array([2, 4])
    first, again, other = (
        fixed_allocation(b, 100, 3, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert (first != other).any()
    assert budget_shares(first, 2).tolist() == [0.5, 0.5]


def test_the_agnostic_mixture_skips_budgets_above_the_hull_and_the_fixed_length_does_not():
    b = np.array([1, 2, 3])
    d = np.tile([4.0, 3.9, 0.0], (10, 1))
    rng = np.random.default_rng(0)
    assert set(agnostic_allocation(d, b, 2, rng)) == {0, 2}
    assert set(fixed_allocation(b, 10, 2, rng)) == {1}


def test_means_outside_the_budgets_are_refused():
    d, b = falling_table(10, 6)
    rng = np.random.default_rng(0)
    calls = [
        lambda t: oracle_curve(d, b).at(t),
        lambda t: oracle_allocation(d, b, t),
        lambda t: agnostic_allocation(d, b, t, rng),
        lambda t: fixed_allocation(b, 10, t, rng),
    ]
    for call, tokens in itertools.product(calls, (1.9, 16.1, math.nan)):
        with pytest.raises(UserError, match="2 to 16"):
            call(tokens)


@pytest.mark.parametrize(
    ("d", "b", "message"),
    [
        (np.zeros((2, 3)), [1, 2], "expected distortion"),
        (np.zeros((0, 2)), [1, 2], "expected distortion"),
        (np.zeros((2, 2)), [2, 2], "increasing"),
        (np.zeros((2, 2)), [0, 2], "positive"),
        (np.full((2, 2), np.nan), [1, 2], "finite"),
    ],
)
def test_bad_tables_are_refused(d, b, message):
    with pytest.raises(ValueError, match=message):
        oracle_curve(d, np.array(b))


def test_shares_and_collapse():
    chosen = np.array([1] * 199 + [2])
    assert budget_shares(chosen, 4).tolist() == [0, 0.995, 0.005, 0]
    assert not is_collapsed(chosen, 4)
    assert is_collapsed(chosen, 4, threshold=0.99)
    assert is_collapsed(np.ones(200, dtype=int), 4)
    assert not is_collapsed(np.arange(200) % 4, 4)


def test_fifty_thousand_images_take_less_than_a_second():
    d, b = falling_table(50_000, 7, (1, 2, 4, 8, 16, 32, 64, 128))
    start = time.process_time()
    oracle_curve(d, b)
    assert time.process_time() - start < 1
