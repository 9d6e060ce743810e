import math
from dataclasses import replace

import numpy as np
import pytest

from bench.config.search import Search, read_distribution
from bench.search.drawing import Tried, draw, may_draw, rounded
from bench.search.importance import importances

SPACE = {
    "rate": {"loguniform": [1e-4, 1e-1]},
    "width": {"logint": [1, 64]},
    "depth": {"int": [1, 3]},
    "kind": {"choice": [{"kind": "fsq"}, None, [1, 2]]},
    "share": {"uniform": [0.25, 0.75]},
}


def search(**changes):
    asked = {"algorithm": "random", "samples": 40, "metric": {"mse": "minimize"}, "space": SPACE}
    return Search(**{**asked, **changes})


def all_of(one, outcome=lambda settings: (settings["share"],)):
    tried = []
    while len(tried) < one.samples:
        found = draw(one, tried)
        tried.append(Tried(found, "done", outcome(found)))
    return tried


def test_random_draws_are_new_each_time_within_their_bounds_and_as_spread_as_asked():
    drawn = [one.settings for one in all_of(search(samples=300))]
    assert len({repr(one) for one in drawn}) == 300
    of = {path: [one[path] for one in drawn] for path in SPACE}
    assert all(value in SPACE["kind"]["choice"] for value in of["kind"])
    assert {type(value) for value in of["width"]} == {int}
    assert set(of["depth"]) == {1, 2, 3}
    assert 1e-4 <= min(of["rate"]) < 2e-4
    assert math.log10(np.median(of["rate"])) == pytest.approx(-2.5, abs=0.2)
    assert np.median(of["width"]) == pytest.approx(8, abs=2)
    assert np.median(of["share"]) == pytest.approx(0.5, abs=0.05)
    assert all(value == float(f"{value:.4g}") for value in (*of["rate"], *of["share"]))


def test_numbers_are_rounded_within_their_bounds():
    one = read_distribution("rate", {"uniform": [0.123456, 0.9]})
    assert (rounded(0.12341, one), rounded(0.5000049, one)) == (0.123456, 0.5)


def test_a_space_with_an_end_is_drawn_to_its_end():
    space = {"a": {"choice": list("abcd")}, "b": {"int": [1, 6]}}
    for algorithm in ("random", "optuna"):
        one = search(algorithm=algorithm, samples=24, space=space)
        drawn = {tuple(t.settings.values()) for t in all_of(one, lambda settings: (1.0,))}
        assert len(drawn) == 24


def test_a_draw_is_made_of_the_search_its_number_and_what_it_may_know_alone():
    one = search(algorithm="optuna", startup=4, pending=3)
    tried = all_of(replace(one, samples=12))
    again = draw(one, tried)
    assert draw(one, tried) == again
    # The last two may still run, and say nothing.
    late = [*tried[:-2], *(Tried(t.settings) for t in tried[-2:])]
    assert draw(one, late) == again
    assert draw(replace(one, pending=1), tried) != again
    assert draw(replace(one, seed=1), tried) != again
    other = [replace(t, values=(1 - t.values[0],)) for t in tried]
    assert draw(one, other) != again
    stopped = [replace(t, state="stopped", values=()) for t in tried[:5]]
    assert draw(one, [*stopped, *tried[5:]]) != again


def test_a_draw_waits_for_those_that_it_depends_on():
    one = search(algorithm="optuna", startup=4, pending=3)
    ended = set()
    assert [may_draw(one, n, has_ended=ended.__contains__) for n in (0, 3, 4)] == [
        True,
        True,
        False,
    ]
    ended |= {0, 1}
    assert [may_draw(one, n, has_ended=ended.__contains__) for n in (4, 5)] == [True, False]
    assert may_draw(search(), 30, has_ended=ended.__contains__)


def test_optuna_finds_better_ones_than_random_and_heeds_the_direction():
    def far(settings):
        return (abs(math.log10(settings["rate"]) + 2) + abs(settings["share"] - 0.4),)

    random, learnt, away = (
        [one.values[0] for one in all_of(search(samples=40, **changes), far)][-10:]
        for changes in (
            {},
            {"algorithm": "optuna"},
            {"algorithm": "optuna", "metric": {"mse": "maximize"}},
        )
    )
    assert np.mean(learnt) < 0.7 * np.mean(random)
    assert np.mean(away) > 1.2 * np.mean(random)


def test_the_setting_that_decides_matters_most():
    tried = all_of(search(), lambda settings: (settings["depth"], abs(settings["share"] - 0.5)))
    spaces = search().distributions
    for objective, decides in enumerate(("depth", "share")):
        found = importances(spaces, tried, objective=objective)
        assert list(found) == list(SPACE)
        assert sum(found.values()) == pytest.approx(1)
        assert found[decides] > 0.8
    assert importances(spaces, tried[:7], objective=0) == {}
