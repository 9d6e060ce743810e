from collections import Counter

import pytest

from bench.graph.nodes import upstream
from bench.graph.suite_graph import build_graph
from bench.store.store import Store

POLICY = {"candidates": [1, 2, 4], "weighting": {"kind": "constraint", "mean_budget": 2}}
PLAIN = {"steps": 10, "warmup_steps": 0}
CHOSEN = {**PLAIN, "lengths": {"distribution": "policy"}}
TWICE = {"policy": POLICY, "codesign.rounds": 2, "codesign.training": CHOSEN}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def evaluations(load, small):
    """`evaluations(*changes)`: the last stage of a cell for each of them."""

    def evaluations(*changes):
        arms = [{"name": f"arm {n}", "set": one} for n, one in enumerate(changes)]
        return build_graph(load({**small, "arms": arms})).evaluations

    return evaluations


def rounds(evaluation):
    """The tokenizers of a cell, from the first on."""
    return [node for node in upstream(evaluation) if node.stage == "tokenizer"]


def test_a_round_is_a_bank_a_policy_its_lengths_and_a_tokenizer(evaluations):
    (cell,) = evaluations({**TWICE, "data.calibration": 9})
    first, second, third = rounds(cell)
    train = first.inputs["images"]
    assert train.config["split"] == "train"
    assert set(first.inputs) == {"images"}
    for before, after in ((first, second), (second, third)):
        assert set(after.inputs) == {"images", "lengths", "start"}
        assert after.inputs["start"] is before
        assert after.inputs["images"] is train
        lengths = after.inputs["lengths"]
        # All training images get a length, of which the policy has seen a part.
        assert set(lengths.inputs) == {"images", "tokenizer", "policy"}
        assert lengths.inputs["images"] is train
        assert lengths.inputs["tokenizer"] is before
        policy = lengths.inputs["policy"]
        assert policy.inputs["bank"].config["images"] == 40
        for bank in (policy.inputs["bank"], policy.inputs["calibration"]):
            assert bank.inputs["tokenizer"] is before
        assert "trainable" not in after.config
        assert after.config["tokenizer"] == first.config["tokenizer"]
    assert [one.config["training"]["seed"] for one in (first, second, third)] == [0, 1000, 2000]
    assert cell.inputs["tokenizer"] is cell.inputs["bank"].inputs["tokenizer"] is third
    assert cell.inputs["policy"].inputs["bank"].inputs["tokenizer"] is third
    assert Counter(node.stage for node in upstream(cell)) == {
        "data": 3, "tokenizer": 3, "bank": 7, "policy": 3, "lengths": 2, "png_sizes": 1,
        "evaluation": 1,
    }  # fmt: skip


def test_rounds_are_shared_by_cells_with_equal_settings(evaluations):
    once = {**TWICE, "codesign.rounds": 1}
    curve = {"codesign": {"rounds": 2, "training": CHOSEN, "policy": POLICY}}
    plain, first, second, alone = map(
        rounds, cells := evaluations({"policy": POLICY}, once, TWICE, curve)
    )
    assert plain == first[:1]
    assert first == second[:2]
    assert second == alone
    assert first[1].inputs["lengths"].inputs["policy"] is cells[0].inputs["policy"]
    assert second[2].inputs["lengths"].inputs["policy"] is cells[1].inputs["policy"]
    assert "policy" not in cells[3].inputs


@pytest.mark.parametrize(
    "change",
    [
        {"codesign.rounds": 1},
        {"codesign.start": "scratch"},
        {"codesign.training.steps": 11},
        {"codesign.training.seed": 1},
        {"codesign.training.lengths.share": 0.7},
        {"codesign.training.lengths.rest": "all"},
        {"codesign.policy": {"candidates": [1, 4]}},
        {"policy.steps": 31},
        {"policy.weighting.mean_budget": 3},
        {"training.seed": 1},
        {"bank.policy_images": 39},
        {"data.train": 49},
    ],
)
def test_what_the_last_round_depends_on(evaluations, store, change):
    before, after = (rounds(one)[-1].spec(store).key for one in evaluations(TWICE, TWICE | change))
    assert before != after


def test_what_comes_after_the_rounds_leaves_them_as_they_are(evaluations):
    curve = {"codesign": {"rounds": 2, "training": CHOSEN, "policy": POLICY}}
    cells = evaluations(curve, curve | {"policy": {"candidates": [1, 4]}})
    assert rounds(cells[0]) == rounds(cells[1])


def test_from_scratch_nothing_but_the_lengths_comes_from_the_round_before(evaluations):
    (cell,) = evaluations({**TWICE, "codesign.start": "scratch"})
    first, second, third = rounds(cell)
    for before, after in ((first, second), (second, third)):
        assert set(after.inputs) == {"images", "lengths"}
        assert after.inputs["lengths"].inputs["tokenizer"] is before


def test_without_a_policys_lengths_it_goes_on_as_before(evaluations, store):
    """No policy and no bank of training images are made, also for a tokenizer of one length."""
    going_on = {"codesign": {"rounds": 2, "training": PLAIN}, "tokenizer.budgets": [3]}
    cell, fewer = evaluations(going_on, going_on | {"bank.policy_images": 39})
    first, second, third = rounds(cell)
    assert set(second.inputs) == set(third.inputs) == {"images", "start"}
    assert (second.inputs["start"], third.inputs["start"]) == (first, second)
    assert len({one.spec(store).key for one in rounds(cell)}) == 3
    assert Counter(node.stage for node in upstream(cell)) == {
        "data": 2, "tokenizer": 3, "bank": 1, "png_sizes": 1, "evaluation": 1,
    }  # fmt: skip
    assert rounds(fewer) == rounds(cell)


def test_a_cell_without_rounds_has_no_trace_of_them(load, small):
    arms = [{"name": "a"}, {"name": "b", "set": {"codesign": None, "evaluation.seed": 1}}]
    for cell in load({**small, "arms": arms}).cells:
        assert "codesign" not in cell.settings


def test_a_finetuning_starts_from_the_last_round(evaluations):
    (cell,) = evaluations({**TWICE, "finetuning.training": PLAIN})
    *_, last, tuned = rounds(cell)
    assert tuned.inputs["start"] is last
    assert "lengths" in last.inputs
    assert cell.inputs["policy"].inputs["bank"].inputs["tokenizer"] is tuned


def test_a_length_may_come_from_a_cell_with_rounds_and_be_gone_on_with(load, small, store):
    arms = [
        {"name": "policy", "set": TWICE, "sweep": {"training.seed": [0, 1]}},
        {
            "name": "fixed",
            "set": {
                "tokenizer.budgets": {"mean_budget_of": "policy", "same": ["training.seed"]},
                "codesign": {"rounds": 1, "training": PLAIN},
            },
        },
    ]
    source, _, fixed = build_graph(load({**small, "arms": arms})).evaluations
    assert all(one.budget_sources == (source,) for one in rounds(fixed))
    assert rounds(fixed)[1].spec(store) is None
    spec = source.spec(store)
    store.work(spec.stage, spec.key).mkdir(parents=True)
    result = {"metrics": {"mean_tokens": 3.0}}
    store.publish(spec.stage, spec.key, {"seconds": 1.0, "result": result})
    for one in rounds(fixed):
        assert one.spec(store).config["tokenizer"]["budgets"] == [3]
