import pytest
from PIL import Image

from bench.graph.suite_graph import build_graph
from bench.store.store import Store

POLICY = {"candidates": [1, 2, 4]}
CONSTRAINT = {"policy": POLICY, "policy.weighting": {"kind": "constraint", "mean_budget": 2}}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def one_arm(small, **changes):
    return {**small, "arms": [{"name": "a", "set": changes}]}


@pytest.mark.parametrize("kind", ["latents", "pixels"])
def test_images_set_aside_are_what_a_constraint_is_made_to_hold_on(load, small, kind):
    changes = {**CONSTRAINT, "policy.input": kind, "data.calibration": 9}
    (cell,) = build_graph(load(one_arm(small, **changes))).evaluations
    policy = cell.inputs["policy"]
    bank, calibration = policy.inputs["bank"], policy.inputs["calibration"]
    assert calibration.stage == "bank"
    assert calibration.inputs["tokenizer"] is bank.inputs["tokenizer"]
    assert calibration.config == {**bank.config, "images": None}
    images = calibration.inputs["images"]
    assert (images.config["split"], images.config["count"]) == ("calibration", 9)
    assert policy.inputs.get("calibration_images") is (images if kind == "pixels" else None)


@pytest.mark.parametrize(
    "changes",
    [CONSTRAINT, {"policy": POLICY, "data.calibration": 9}],
    ids=["none", "no constraint"],
)
def test_without_a_constraint_or_such_images_nothing_is_set_aside(load, small, changes):
    graph = build_graph(load(one_arm(small, **changes)))
    assert set(graph.evaluations[0].inputs["policy"].inputs) == {"bank"}
    assert {node.config["split"] for node in graph.order() if node.stage == "data"} == {
        "train",
        "validation",
    }


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"data.calibration": 10}, {"policy", "evaluation"}),
        ({"data.validation": 25}, {"evaluation"}),
    ],
)
def test_the_images_set_aside_change_the_policy_alone(load, small, store, changes, changed):
    def keys(**changes):
        settings = {**CONSTRAINT, "data.calibration": 9, **changes}
        (cell,) = build_graph(load(one_arm(small, **settings))).evaluations
        policy = cell.inputs["policy"]
        nodes = {"evaluation": cell, "policy": policy, "bank": policy.inputs["bank"]}
        return {name: node.spec(store).key for name, node in nodes.items()}

    before, now = keys(), keys(**changes)
    assert {name for name in before if before[name] != now[name]} == changed


def test_the_share_of_a_folder_that_is_set_aside(load, small, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "0.png")
    data = {"kind": "image_folder", "path": str(folder), "resolution": 32}
    changes = {**CONSTRAINT, "bank.policy_images": None}

    def inputs(**more):
        arm = one_arm(small, **changes, data={**data, **more})
        return set(build_graph(load(arm)).evaluations[0].inputs["policy"].inputs)

    assert inputs() == {"bank"}
    assert inputs(calibration_fraction=0.5) == {"bank", "calibration"}
