"""What allocators and their controls are fitted on, and see, in the graph."""

import pytest

from bench.graph.suite_graph import build_graph
from bench.store.store import Store

POLICY = {"candidates": [1, 2, 4]}
ASIDE = {"data.calibration": 9}
THRESHOLD = {"kind": "threshold", "search": "scan"}
ALLOCATORS = {
    "agnostic": {"kind": "agnostic", "mean_budget": 2},
    "oracle": {"kind": "oracle", "mean_budget": 2},
    "own": {"kind": "own", "target": 0.1},
    "distortion": {**THRESHOLD, "distortion": 0.1},
    "mean": {**THRESHOLD, "mean_budget": 2},
    "entropy": {"kind": "codebook_entropy", "mean_budget": 2},
    "png": {"kind": "png_size", "mean_budget": 2},
    "edges": {"kind": "edge_density", "mean_budget": 2},
}


@pytest.fixture
def evaluation(load, small):
    """`evaluation(**changes)`: the last stage of a cell."""

    def evaluation(**changes):
        if changes.get("allocator", {}).get("kind") == "own":
            halting = {"encoding": "halting", "lora": {"rank": 0}}
            changes = {"bank.own_targets": [0.1], **changes, **{
                f"tokenizer.{key}": value for key, value in halting.items()
            }}  # fmt: skip
        suite = load({**small, "arms": [{"name": "a", "set": changes}]})
        (node,) = build_graph(suite).evaluations
        return node

    return evaluation


@pytest.mark.parametrize(
    ("name", "aside", "inputs"),
    [
        *((name, aside, set()) for name in ("agnostic", "oracle", "own", "distortion")
          for aside in (False, True)),
        ("mean", False, {"training"}),
        ("mean", True, {"calibration"}),
        ("entropy", False, {"training"}),
        ("entropy", True, {"training", "calibration"}),
        *((name, False, {"training", "training_images", "images"}) for name in ("png", "edges")),
        *((name, True, {"training", "training_images", "calibration", "calibration_images",
                        "images"}) for name in ("png", "edges")),
    ],
)  # fmt: skip
def test_an_allocator_gets_what_it_is_fitted_on_and_sees(evaluation, name, aside, inputs):
    node = evaluation(allocator=ALLOCATORS[name], **(ASIDE if aside else {}))
    assert set(node.inputs) == {"bank", "tokenizer", "images", "png_sizes"} | inputs
    banks = {key: node.inputs[key] for key in inputs & {"training", "calibration"}}
    for key, bank in banks.items():
        assert bank.config["purpose"] == "policy"
        assert bank.inputs["tokenizer"] is node.inputs["tokenizer"]
        if f"{key}_images" in inputs:
            assert node.inputs[f"{key}_images"] is bank.inputs["images"]
    if "images" in inputs:
        assert node.inputs["images"] is node.inputs["bank"].inputs["images"]
    splits = {"training": "train", "calibration": "calibration"}
    for key, bank in banks.items():
        assert bank.inputs["images"].config["split"] == splits[key]


def test_its_banks_are_those_of_a_policy(load, small):
    arms = [
        {
            "name": "policy",
            "set": {
                "policy": POLICY,
                "policy.weighting": {"kind": "constraint", "mean_budget": 2},
                **ASIDE,
            },
        },
        {"name": "png", "set": {"allocator": ALLOCATORS["png"], **ASIDE}},
    ]
    first, second = build_graph(load({**small, "arms": arms})).evaluations
    assert second.inputs["training"] is first.inputs["policy"].inputs["bank"]
    assert second.inputs["calibration"] is first.inputs["policy"].inputs["calibration"]
    assert second.inputs["bank"] is first.inputs["bank"]


@pytest.mark.parametrize("allocation", [{"policy": POLICY}, {"allocator": ALLOCATORS["oracle"]}])
def test_heuristics_as_controls_need_all_of_it(evaluation, allocation):
    fitted = {"training", "training_images"}
    plain = set(evaluation(**allocation).inputs)
    assert not plain & fitted
    asked = {**allocation, "evaluation.heuristics": True}
    assert set(evaluation(**asked).inputs) == plain | fitted
    assert set(evaluation(**asked, **ASIDE).inputs) == plain | fitted | {
        "calibration",
        "calibration_images",
    }
    assert evaluation(**asked).config["heuristics"] is True


def test_a_curve_has_no_controls_to_fit(evaluation):
    node = evaluation(**{"evaluation.heuristics": True})
    assert set(node.inputs) == {"bank", "tokenizer", "images", "png_sizes"}
    assert node.config == evaluation().config


@pytest.mark.parametrize(
    "changes",
    [
        {"allocator": {**ALLOCATORS["png"], "mean_budget": 3}},
        {"allocator": ALLOCATORS["edges"]},
        {"allocator": {**ALLOCATORS["png"], "candidates": [1, 4]}},
        {"evaluation.heuristics": True},
        {"evaluation.seed": 1},
    ],
)
def test_a_setting_of_an_allocator_makes_another_evaluation_on_the_same_banks(
    evaluation, tmp_path, changes
):
    store = Store(tmp_path / "store")

    def keys(**changes):
        node = evaluation(**{"allocator": ALLOCATORS["png"], **changes})
        banks = [node.inputs[key].spec(store).key for key in ("bank", "training")]
        return node.spec(store).key, banks

    before, after = keys(), keys(**changes)
    assert before[0] != after[0]
    assert before[1] == after[1]
