import pytest

from bench.errors import UserError
from bench.suite.references import lookup


def with_arms(small, *arms):
    return {**small, "arms": list(arms)}


def policies(*targets):
    return {
        "name": "policy",
        "set": {"policy.candidates": [1, 2, 4]},
        "sweep": {
            "policy.weighting": [{"kind": "constraint", "mean_budget": t} for t in targets],
            "policy.seed": [0, 1],
        },
    }


def reference(**settings):
    return {"name": "fixed", "set": {"tokenizer.budgets": {"mean_budget_of": "policy", **settings}}}


def test_a_reference_finds_the_cells_whose_settings_match(load, small):
    where = {"policy.weighting.mean_budget": 3, "policy.seed": 1}
    suite = load(with_arms(small, {"name": "e"}, policies(2, 3), reference(where=where)))
    cell = suite.cells[-1]
    assert cell.sources == (4,)
    assert suite.cells[4].config.policy.weighting.mean_budget == 3
    assert cell.settings["tokenizer"]["budgets"] == {
        "mean_budget_of": "policy",
        "where": where,
        "same": (),
    }
    everywhere = load(with_arms(small, {"name": "e"}, policies(2, 3), reference()))
    assert everywhere.cells[-1].sources == (1, 2, 3, 4)
    assert everywhere.cells[-1].key != cell.key


def test_a_reference_may_compare_lists(load, small):
    where = {"policy.candidates": [1, 2, 4]}
    suite = load(with_arms(small, policies(2), reference(where=where)))
    assert suite.cells[-1].sources == (0, 1)


def test_references_that_lead_nowhere_are_refused(refusal, small):
    first = [{"name": "elastic"}, policies(2)]

    def message(arm):
        return refusal(with_arms(small, *first, arm, {"name": "last", "set": {"data.seed": 9}}))

    def of(arm):
        return {"name": "fixed", "set": {"tokenizer.budgets": {"mean_budget_of": arm}}}

    at = "arm 'fixed': tokenizer.budgets"
    assert message(of("polcy")) == (
        f"{at}.mean_budget_of: 'polcy' is no arm of this suite; did you mean 'policy'?"
    )
    assert message(of("last")).startswith(f"{at}.mean_budget_of: 'last' stands later in the file")
    assert "'fixed' stands later in the file" in message(of("fixed"))
    assert message(of("elastic")).startswith(f"{at}.where: no cell of arm 'elastic' with a policy")
    assert message(reference(where={"policy.seed": 5})) == (
        f"{at}.where: no cell of arm 'policy' with a policy has {{'policy.seed': 5}}"
    )
    assert message(reference(where={"policy.sede": 5})) == (
        f"{at}.where: policy.sede: unknown key; did you mean 'seed'?"
    )
    assert message(reference(wehre={})) == f"{at}: wehre: unknown key; did you mean 'where'?"


def seeded(*seeds, steps=(30,)):
    """Policies on tokenizers of several training seeds, and a fixed length per seed."""
    same = ["training.seed"]
    return [
        {
            "name": "policy",
            "set": {"policy.candidates": [1, 2, 4]},
            "sweep": {"policy.steps": list(steps), "training.seed": list(seeds)},
        },
        {
            "name": "fixed",
            "set": {"tokenizer.budgets": {"mean_budget_of": "policy", "same": same}},
            "sweep": {"training.seed": list(seeds)},
        },
    ]


def test_a_reference_goes_with_the_cells_of_the_same_settings(load, small):
    suite = load(with_arms(small, *seeded(5, 3)))
    assert [cell.config.training.seed for cell in suite.cells] == [5, 3, 5, 3]
    assert [cell.sources for cell in suite.cells[2:]] == [(0,), (1,)]
    # A value that is not swept but set, or left at its default, counts as well.
    plain = {**seeded(0)[1], "sweep": {}}
    assert load(with_arms(small, *seeded(3, 0)[:1], plain)).cells[-1].sources == (1,)


def test_same_narrows_what_where_has_found(load, small):
    policies, fixed = seeded(0, 1, steps=(30, 40))
    fixed["set"]["tokenizer.budgets"]["where"] = {"policy.steps": 40}
    suite = load(with_arms(small, policies, fixed))
    assert [cell.sources for cell in suite.cells[4:]] == [(2,), (3,)]
    del fixed["set"]["tokenizer.budgets"]["where"]
    suite = load(with_arms(small, policies, fixed))
    assert [cell.sources for cell in suite.cells[4:]] == [(0, 2), (1, 3)]


def test_a_reference_without_cells_of_the_same_settings_is_refused(refusal, small):
    at = "arm 'fixed': tokenizer.budgets"
    policies, fixed = seeded(0, 1)
    fixed["sweep"]["training.seed"] = [0, 7]
    assert refusal(with_arms(small, policies, fixed)) == (
        f"{at}.same: no cell of arm 'policy' with a policy has {{'training.seed': 7}}"
    )
    fixed["set"]["tokenizer.budgets"]["where"] = {"policy.seed": 0}
    assert refusal(with_arms(small, policies, fixed)).endswith(
        "has {'policy.seed': 0, 'training.seed': 7}"
    )
    fixed["set"]["tokenizer.budgets"] = {"mean_budget_of": "policy", "same": ["training.sede"]}
    assert refusal(with_arms(small, policies, fixed)) == (
        f"{at}.same: training.sede: unknown key; did you mean 'seed'?"
    )
    fixed["set"]["tokenizer.budgets"] = {"mean_budget_of": "policy", "same": "training.seed"}
    assert refusal(with_arms(small, policies, fixed)).startswith(f"{at}: same: ")


def test_lookup_follows_dotted_paths():
    settings = {"a": {"b": (1, 2)}, "c": None}
    assert lookup(settings, "a.b", where="x") == [1, 2]
    assert lookup(settings, "c", where="x") is None
    with pytest.raises(UserError, match=r"x: a\.b\.c: unknown key$"):
        lookup(settings, "a.b.c", where="x")
