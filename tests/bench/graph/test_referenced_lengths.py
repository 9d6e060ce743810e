from collections import Counter

from bench.graph.suite_graph import build_graph
from bench.run.planning.plan import plan_suite

POLICY = {"candidates": [1, 2, 4]}
FINETUNING = {"training": {"steps": 10, "warmup_steps": 0}}


def test_both_trainings_have_a_referenced_length(load, small, store, reached):
    small["arms"][-1]["set"]["finetuning"] = FINETUNING
    evaluations = build_graph(load(small)).evaluations
    tuned = evaluations[-1].inputs["bank"].inputs["tokenizer"]
    assert tuned.spec(store) is None
    for evaluation in evaluations[1:3]:
        reached(evaluation, 3.0)
    for node in (tuned, tuned.inputs["start"]):
        assert node.spec(store).config["tokenizer"]["budgets"] == [3]


def test_a_referenced_budget_is_known_once_all_its_policies_are_evaluated(
    load, small, store, reached
):
    evaluations = build_graph(load(small)).evaluations
    first, second, waiting = evaluations[1], evaluations[2], evaluations[-1]
    tokenizer = waiting.inputs["bank"].inputs["tokenizer"]
    assert tokenizer.budget_sources == (first, second)
    assert waiting.spec(store) is None
    reached(first, 2.4)
    assert tokenizer.referenced_budget(store) is None
    assert tokenizer.spec(store) is None
    reached(second, 3.4)
    assert tokenizer.referenced_budget(store) == 3
    assert tokenizer.spec(store).config["tokenizer"]["budgets"] == [3]
    assert tokenizer.spec(store).config["tokenizer"]["lora"]["rank"] == 0
    assert waiting.spec(store) is not None
    assert tokenizer.config["tokenizer"]["budgets"] == [4]


def test_a_tokenizer_of_the_referenced_length_is_the_same_as_one_asked_for(
    load, small, store, reached
):
    plain = {"name": "plain", "set": {"tokenizer.lora.rank": 0, "tokenizer.budgets": [3]}}
    evaluations = build_graph(load({**small, "arms": [*small["arms"], plain]})).evaluations
    reached(evaluations[1], 3.0)
    reached(evaluations[2], 3.0)
    assert evaluations[-1] is not evaluations[-2]
    assert evaluations[-1].spec(store).key == evaluations[-2].spec(store).key


def per_seed(small):
    """Two training seeds: an arm of policies, and fixed lengths that go with their own seed's."""
    seeds = {"training.seed": [0, 1]}
    policy = {"name": "policy", "set": {"policy": POLICY}, "sweep": seeds}
    budgets = {"mean_budget_of": "policy", "same": ["training.seed"]}
    fixed = {"name": "fixed", "set": {"tokenizer.budgets": budgets}, "sweep": seeds}
    return {**small, "arms": [policy, fixed]}


def test_each_seeds_length_is_that_of_its_own_policy(load, small, store, reached):
    *policies, first, second = build_graph(load(per_seed(small))).evaluations
    reached(policies[0], 1.4)
    one, other = (cell.inputs["bank"].inputs["tokenizer"] for cell in (first, second))
    assert one.spec(store).config["tokenizer"]["budgets"] == [1]
    assert other.spec(store) is None
    reached(policies[1], 2.6)
    assert other.spec(store).config["tokenizer"]["budgets"] == [3]
    assert one.spec(store).config["training"]["seed"] == 0
    assert other.spec(store).config["training"]["seed"] == 1


def test_a_plan_shows_the_lengths_that_wait_for_their_seed(load, small, store, reached):
    suite = load(per_seed(small))
    graph = build_graph(suite)

    def waiting():
        rows = plan_suite(suite, graph, store)
        return Counter(row["stage"] for row in rows if row["state"] == "waiting")

    assert waiting() == {"tokenizer": 2, "bank": 2, "evaluation": 2}
    reached(graph.evaluations[0], 1.4)
    assert waiting() == {"tokenizer": 1, "bank": 1, "evaluation": 1}
