from collections import Counter
from dataclasses import replace

import pytest

from bench.graph.nodes import topological
from bench.graph.suite_graph import build_graph
from bench.stages import STAGES


def keys_of(suite, store, stage):
    """Keys of a stage's nodes by cell label and input name; evaluations under their cell."""
    graph = build_graph(suite)
    keys = {}
    for cell, evaluation in zip(suite.cells, graph.evaluations, strict=True):
        pending = [(cell.label, evaluation)]
        while pending:
            path, node = pending.pop()
            if node.stage == stage:
                keys[path] = node.spec(store).key
            pending += [(f"{path}/{name}", need) for name, need in node.inputs.items()]
    return keys


POLICY = {"candidates": [1, 2, 4]}


def test_cells_share_their_stages(load, small):
    graph = build_graph(load(small))
    counts = Counter(node.stage for node in graph.order())
    assert counts == {
        "data": 2, "tokenizer": 3, "bank": 4, "policy": 2, "png_sizes": 1, "evaluation": 6,
    }  # fmt: skip
    elastic, first, second, *_ = graph.evaluations
    assert first.inputs["bank"] is elastic.inputs["bank"]
    assert first.inputs["policy"] is not second.inputs["policy"]
    assert first.inputs["policy"].inputs["bank"] is second.inputs["policy"].inputs["bank"]
    assert len(graph.evaluations) == len(load(small).cells)


def test_targets_of_its_own_are_for_the_evaluation_bank(evaluation_of):
    halting = {"tokenizer.encoding": "halting", "bank.own_targets": [0.1, 0.2], "policy": POLICY}
    cell = evaluation_of(**halting)
    assert cell.inputs["bank"].config["own_targets"] == [0.1, 0.2]
    assert "own_targets" not in cell.inputs["policy"].inputs["bank"].config


def test_distinct_nodes_have_distinct_keys(small_run):
    specs = [node.spec(small_run.store) for node in small_run.graph.order()]
    assert len({spec.key for spec in specs}) == len(specs) == 18


def test_nodes_come_behind_what_they_need_each_once(load, small):
    order = build_graph(load(small)).order()
    place = {node: number for number, node in enumerate(order)}
    assert len(place) == len(order) == 18
    assert all(place[need] < place[node] for node in order for need in node.needs)


def test_a_chain_may_be_longer_than_pythons_stack():
    chain = {number: [number + 1] if number < 5000 else [] for number in range(5001)}
    objects = {number: [number] for number in chain}
    found = topological([objects[0]], lambda one: [objects[need] for need in chain[one[0]]])
    assert [one[0] for one in found] == list(range(5000, -1, -1))


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        ("data.validation", 25, {"validation"}),
        ("data.train", 49, {"train", "tokenizer"}),
        ("data.seed", 1, {"train", "validation", "tokenizer"}),
        ("training.seed", 1, {"tokenizer"}),
        ("bank.policy_images", 41, {"policy bank"}),
        ("bank.extractor_resolution", 33, {"bank"}),
        ("bank.second_extractor", True, {"bank"}),
        ("bank.policy_perceptual", True, {"policy bank"}),
        ("bank.budgets", [1, 2, 3, 4], {"policy bank", "bank"}),
        ("bank.shard", 17, {"policy bank", "bank"}),
        ("policy.seed", 1, {"policy"}),
        ("evaluation.seed", 1, set()),
        ("evaluation.kid_subset", 3, set()),
        ("evaluation.generative", True, set()),
    ],
)
def test_a_setting_changes_the_stages_it_belongs_to_and_theirs_after_them(
    store, path, value, changed, evaluation_of
):
    def keys(**changes):
        cell = evaluation_of(policy=POLICY, **changes)
        bank, policy = cell.inputs["bank"], cell.inputs["policy"]
        policy_bank = policy.inputs["bank"]
        stages = {
            "train": policy_bank.inputs["images"],
            "validation": bank.inputs["images"],
            "tokenizer": bank.inputs["tokenizer"],
            "policy bank": policy_bank,
            "bank": bank,
            "policy": policy,
            "evaluation": cell,
        }
        return {name: node.spec(store).key for name, node in stages.items()}

    after = {
        "train": {"policy bank"},
        "validation": {"bank"},
        "tokenizer": {"policy bank", "bank"},
        "policy bank": {"policy"},
        "bank": {"evaluation"},
        "policy": {"evaluation"},
    }
    expected = {*changed, "evaluation"}
    for _ in after:
        expected |= set().union(*(after.get(name, set()) for name in expected))
    before, now = keys(), keys(**{path: value})
    assert {name for name in before if before[name] != now[name]} == expected


FINETUNING = {"training": {"steps": 10, "warmup_steps": 0}}


def test_finetuning_is_a_second_tokenizer_and_the_first_is_shared(load, small, store):
    small["base"]["tokenizer"]["lora"] = {"rank": 0}
    heads = {**FINETUNING, "trainable": "heads", "lora": {"rank": 3, "alpha": 1.0}}
    arms = [
        {"name": "plain"},
        {"name": "tuned", "set": {"finetuning": heads, "policy": POLICY}},
        {"name": "other", "set": {"finetuning": FINETUNING}},
    ]
    graph = build_graph(load({**small, "arms": arms}))
    plain, tuned, other = (cell.inputs["bank"].inputs["tokenizer"] for cell in graph.evaluations)
    assert set(plain.inputs) == {"images"}
    assert tuned.inputs["start"] is other.inputs["start"] is plain
    assert tuned.inputs["images"] is plain.inputs["images"]
    assert Counter(node.stage for node in graph.order())["tokenizer"] == 3
    assert len({node.spec(store).key for node in (plain, tuned, other)}) == 3
    assert plain.config["tokenizer"]["lora"]["rank"] == 0
    assert tuned.config["tokenizer"]["lora"]["rank"] == 3
    assert tuned.config["training"]["steps"] == 10
    assert (tuned.config["trainable"], other.config["trainable"]) == ("heads", "decoder")
    # All that is measured is measured on the second one.
    evaluation = graph.evaluations[1]
    assert evaluation.inputs["policy"].inputs["bank"].inputs["tokenizer"] is tuned
    assert evaluation.inputs["tokenizer"] is tuned


@pytest.mark.parametrize(
    "changes",
    [
        {"finetuning.trainable": "heads"},
        {"finetuning.training.seed": 1},
        {"training.seed": 1},
        {"data.train": 49},
    ],
)
def test_what_finetuning_depends_on(store, changes, evaluation_of):
    def key(**changes):
        cell = evaluation_of(finetuning=FINETUNING, **changes)
        return cell.inputs["bank"].inputs["tokenizer"].spec(store).key

    assert key(**changes) != key()


@pytest.mark.parametrize(
    ("kind", "extra"), [("latents", set()), ("quantized", {"tokenizer"}), ("pixels", {"images"})]
)
def test_a_policy_gets_what_its_input_is_read_from(kind, extra, evaluation_of):
    settings = {"policy": {**POLICY, "input": kind}}
    cell = evaluation_of(**settings)
    policy = cell.inputs["policy"]
    assert set(policy.inputs) == {"bank"} | extra
    assert set(cell.inputs) == {"bank", "policy", "tokenizer", "images", "png_sizes"}
    if kind == "pixels":  # trained on one split, judged on the other
        assert policy.inputs["images"] is policy.inputs["bank"].inputs["images"]
        assert cell.inputs["images"] is cell.inputs["bank"].inputs["images"]
        assert cell.inputs["images"] is not policy.inputs["images"]
    if kind == "quantized":
        assert policy.inputs["tokenizer"] is policy.inputs["bank"].inputs["tokenizer"]


def test_inputs_of_a_policy_share_one_bank(load, small):
    arm = {"name": "a", "set": {"policy": POLICY}, "sweep": {"policy.input": ["latents", "pixels"]}}
    first, second = build_graph(load({**small, "arms": [arm]})).evaluations
    assert first.inputs["policy"] is not second.inputs["policy"]
    assert first.inputs["policy"].inputs["bank"] is second.inputs["policy"].inputs["bank"]


def test_networks_input_size_matters_to_a_policys_bank_that_measures_by_them(store, evaluation_of):
    def key(**changes):
        cell = evaluation_of(policy=POLICY, **changes)
        return cell.inputs["policy"].inputs["bank"].spec(store).key

    perceptual = {"bank.policy_perceptual": True}
    assert key(**{"bank.extractor_resolution": 33}) == key()
    assert key(**perceptual, **{"bank.extractor_resolution": 33}) != key(**perceptual)


def test_a_raised_version_makes_new_keys(store, monkeypatch, suite_of):
    suite = suite_of()
    before = {stage: keys_of(suite, store, stage) for stage in ("data", "tokenizer", "bank")}
    raised = replace(STAGES["tokenizer"], version=99)
    monkeypatch.setattr("bench.stages.declared.tokenizer.STAGE", raised)
    assert keys_of(suite, store, "data") == before["data"]
    assert keys_of(suite, store, "tokenizer") != before["tokenizer"]
    assert keys_of(suite, store, "bank") != before["bank"]


def test_stages_ask_for_what_the_suite_gives_them(load, small):
    resources = {"bank": {"cpus": 2}, "tokenizer": {"gpus": 0.25}}
    graph = build_graph(load({**small, "device": "cuda", "resources": resources}))
    asked = {node.stage: node.resources for node in graph.order()}
    assert (asked["bank"].cpus, asked["policy"].cpus) == (2, 1)
    assert (asked["tokenizer"].gpus, asked["tokenizer"].device) == (0.25, "cuda")
    assert asked["data"].device == "cpu"
