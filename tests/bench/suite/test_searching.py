import re

import pytest

from bench.errors import UserError
from bench.files import write_json
from bench.suite.loading import load_suite

SPACE = {
    "training.learning_rate": {"loguniform": [0.001, 0.1]},
    "tokenizer.width": {"choice": [8, 16]},
}
STOP = {"scheduler": "asha", "metric": "mse", "grace": 5}


@pytest.fixture
def searched(small):
    """`searched(**changes)`: a suite of one arm that is searched."""

    def searched(*, arm=(), **changes):
        search = {"algorithm": "random", "samples": 3, "metric": {"psnr": "maximize"}}
        search |= {"space": SPACE, **changes}
        return {**small, "arms": [{"name": "a", "search": search, **dict(arm)}]}

    return searched


def test_trials_are_cells_and_their_keys_are_of_their_settings_alone(load, searched, small):
    suite = load(searched(arm={"sweep": {"training.seed": [0, 1]}, "stop_early": STOP}))
    assert [cell.search.trial for cell in suite.cells] == [0, 0, 1, 1, 2, 2]
    first = suite.cells[0]
    assert set(first.swept) == {*SPACE, "training.seed"}
    assert first.config.training.learning_rate == first.swept["training.learning_rate"]
    assert first.race == suite.cells[-1].race
    assert first.race.rule.reduction == 3
    (plain,) = load({**small, "arms": [{"name": "a", "set": first.swept}]}).cells
    assert (plain.key, plain.race, plain.search) == (first.key, None, None)


def test_trials_stay_the_same_when_more_are_asked_for_but_not_of_another_seed(load, searched):
    few, many, other = (
        [cell.swept for cell in load(searched(**changes)).cells]
        for changes in ({}, {"samples": 5}, {"seed": 1})
    )
    assert many[:3] == few
    assert other != few


def test_optuna_knows_its_first_trials_and_goes_on_by_what_the_store_has(load, searched, tmp_path):
    assert len(load(searched(algorithm="optuna", samples=20)).cells) == 10
    suite = load(searched(algorithm="optuna", samples=9, startup=2, pending=3))
    (search,) = suite.searches
    assert len(suite.cells) == len(search.drawn) == 3
    drawn = [one.settings for one in search.drawn] + [{**search.drawn[0].settings}]
    drawn[3]["training.learning_rate"] = 0.0123
    path = tmp_path / "searches" / f"{search.name}.json"
    write_json(path, {"trials": [{"settings": one, "refused": None} for one in drawn]})
    again = load_suite(suite.path, store=tmp_path)
    assert [cell.swept for cell in again.cells] == drawn
    path.write_text("{")
    with pytest.raises(UserError, match=r"damaged.*remove it"):
        load_suite(suite.path, store=tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "arms.0.search: samples: must be 1 or more"),
        ({"algorithm": "grid"}, "input should be 'random' or 'optuna', not 'grid'"),
        ({"metric": {"psnr": "up"}}, "metric.psnr: input should be 'minimize' or 'maximize'"),
        ({"metric": {}}, "metric: name one or more"),
        ({"metric": {"psnrr": "maximize"}}, "search.metric: unknown metric 'psnrr'; did you mean"),
        ({"space": {}}, "space: is empty"),
        ({"space": {"training.steps": {"uniformly": [1, 2]}}}, "space.training.steps: give one of"),
        ({"space": {"training.batch": {"int": [8, 4]}}}, "8 must be less than 4"),
        ({"space": {"training.batch": {"int": [1.5, 4]}}}, "give whole numbers"),
        ({"space": {"training.batch": {"logint": [0, 4]}}}, "0 must be positive"),
        ({"space": {"training.batch": {"choice": [4, 4]}}}, "a value is given twice"),
        ({"space": {"training.batch": {"choice": []}}}, "give a list of values"),
        ({"space": {"training.seed": {"int": [0, 4]}}}, "a seed is no setting to choose"),
        ({"space": {"training.batch": {"choice": [4, 8]}}}, "more than the 2 settings"),
        ({"space": {"tokenizer.widht": {"int": [4, 8]}}}, "tokenizer.widht: unknown key; did you"),
        # Whatever is drawn, the ends of each range are tried.
        ({"space": {**SPACE, "training.batch": {"int": [0, 10000]}}}, "batch: must be 1 or more"),
        ({"pending": 2}, "pending: random looks at no results; remove it"),
        ({"algorithm": "optuna", "startup": 0}, "startup: must be 1 or more"),
        ({"arm": {"sweep": {"tokenizer.width": [8]}}}, "tokenizer.width: is swept as well"),
        ({"arm": {"stop_early": {**STOP, "grace": 40}}}, "grace: 40 is not below the 40 steps"),
        ({"arm": {"stop_early": {**STOP, "grace": 0}}}, "grace: must be 1 or more"),
        ({"arm": {"stop_early": {**STOP, "reduction": 1}}}, "reduction: must be above 1"),
        ({"arm": {"stop_early": {**STOP, "metric": "bits"}}}, "'bits' is not measured on single"),
        ({"arm": {"stop_early": {**STOP, "scheduler": "pbt"}}}, "input should be 'asha', not"),
    ],
)
def test_what_is_no_search_is_refused_in_a_line(load, searched, changes, message):
    with pytest.raises(UserError, match=re.escape(message)) as refused:
        load(searched(**changes))
    assert "\n" not in str(refused.value)


def test_a_tokenizer_that_is_not_trained_here_cannot_be_stopped(load, small, tmp_path):
    tokenizer = {"kind": "reconstructions", "path": str(tmp_path), "budgets": [1]}
    arm = {"name": "a", "set": {"tokenizer": tokenizer}, "stop_early": STOP}
    with pytest.raises(UserError, match="stop_early: the tokenizer is not trained here"):
        load({**small, "arms": [arm]})


def test_no_length_comes_from_a_search(load, searched):
    policy = {"candidates": [1, 2, 4], "steps": 30, "batch": 16}
    content = searched(arm={"set": {"policy": policy}})
    after = {"name": "b", "set": {"tokenizer.budgets": {"mean_budget_of": "a"}}}
    with pytest.raises(UserError, match="'a' is searched, and its cells are not known"):
        load({**content, "arms": [*content["arms"], after]})
