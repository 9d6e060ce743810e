import copy

import pytest

from bench.graph.suite_graph import build_graph
from bench.run.planning.cost import Costs
from bench.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "store")


@pytest.fixture
def stages(load, small, store):
    """`stages(content)`: the nodes of a suite by stage, in their order."""

    def stages(content=small):
        """Those that train tokenizers and policies before those that evaluate."""
        found = {}
        for node in build_graph(load(content)).order():
            found.setdefault(node.stage, []).append(node)
        early = {"data": ("split", "train"), "bank": ("purpose", "policy")}
        for stage, (name, value) in early.items():
            found.get(stage, []).sort(key=lambda node: node.config[name] != value)
        return found

    return stages


@pytest.fixture
def took(store):
    """`took(node, seconds)`: this stage has been computed, with all it needs."""

    def took(node, seconds, *, attempts=1, **result):
        for need in node.inputs.values():
            if not store.has(need.stage, need.spec(store).key):
                took(need, 1.0)
        spec = node.spec(store)
        work = store.work(spec.stage, spec.key)
        work.mkdir(parents=True)
        about = {"config": spec.config, "inputs": spec.inputs, "seconds": seconds}
        about["resources"] = {"cpus": 1, "gpus": 0.0, "device": "cpu"}
        result = {"count": spec.config.get("count"), **result}
        store.publish(
            spec.stage, spec.key, {**about, "result": result, "attempts": ["then"] * attempts}
        )

    return took


def changed(small, path, value):
    content = copy.deepcopy(small)
    *parents, last = path.split(".")
    at = content["base"]
    for name in parents:
        at = at.setdefault(name, {})
    at[last] = value
    return content


def test_nothing_is_known_of_an_empty_store(stages, store):
    for nodes in stages().values():
        assert all(Costs(store).estimate(node) is None for node in nodes)


def test_the_same_work_is_the_median_of_its_like(stages, took, small, store):
    for seed, seconds in enumerate([10.0, 50.0, 30.0]):
        took(stages(changed(small, "training.seed", seed))["tokenizer"][0], seconds)
    asked = stages(changed(small, "training.seed", 9))["tokenizer"][0]
    found = Costs(store).estimate(asked)
    assert (found.seconds, found.count, found.factor) == (30.0, 3, 1.0)


@pytest.mark.parametrize(
    ("path", "value", "stage", "factor"),
    [
        ("training.steps", 80, "tokenizer", 2),
        ("training.batch", 16, "tokenizer", 2),
        # One encoder, as deep as the decoder: 1 + 2 passes for 1 + 1.
        ("training.lengths", {"distribution": "all", "decodes": "pairs"}, "tokenizer", 1.5),
        ("data.train", 96, "data", 2),
        ("bank.policy_images", 20, "bank", 0.5),
    ],
)
def test_other_work_is_scaled_by_what_drives_the_cost(
    stages, took, small, store, path, value, stage, factor
):
    took(stages()[stage][0], 12.0)
    found = Costs(store).estimate(stages(changed(small, path, value))[stage][0])
    assert found.seconds == pytest.approx(12.0 * factor)
    assert (found.factor, found.count) == (pytest.approx(factor), 1)


@pytest.mark.parametrize(
    ("path", "value", "stage", "factor"),
    [
        ("generation.training.steps", 900, "generator", 3),
        ("generation.generator.depth", 2, "generator", 2),
        ("generation.images", 20, "samples", 2),
        ("generation.generator.depth", 2, "samples", 2),
    ],
)
def test_generation_is_scaled_by_what_drives_its_cost(
    stages, took, small, store, path, value, stage, factor
):
    generation = {
        "budget": 2,
        "images": 10,
        "generator": {"width": 16, "depth": 1, "attention_heads": 2},
        "training": {"steps": 300, "batch": 8, "warmup_steps": 5},
    }
    content = {**changed(small, "generation", generation), "arms": [{"name": "one"}]}
    (node,) = stages(content)[stage]
    took(node, 12.0)
    (asked,) = stages(changed(content, path, value))[stage]
    found = Costs(store).estimate(asked)
    assert found.seconds == pytest.approx(12.0 * factor)


def test_lengths_are_scaled_by_the_images_and_the_encoder(stages, took, small, store):
    again = {"steps": 10, "warmup_steps": 0, "lengths": {"distribution": "policy"}}
    rounds = {"training": again, "policy": {"candidates": [1, 2, 4]}}
    content = {**changed(small, "codesign", rounds), "arms": [{"name": "one"}]}
    took(stages(content)["lengths"][0], 3.0)
    more = changed(changed(content, "data.train", 96), "tokenizer.encoder_depth", 2)
    found = Costs(store).estimate(stages(more)["lengths"][0])
    assert found.seconds == pytest.approx(3.0 * 4)


def test_sizes_of_pngs_are_scaled_by_the_images(stages, took, small, store):
    took(stages()["png_sizes"][0], 3.0)
    more = stages(changed(small, "data.validation", 48))["png_sizes"][0]
    assert Costs(store).estimate(more).seconds == pytest.approx(6.0)


def test_more_tokens_cost_more(stages, took, small, store):
    took(stages()["tokenizer"][0], 10.0)
    longer = stages(changed(small, "tokenizer.budgets", [1, 2, 4, 8, 16, 32]))["tokenizer"][0]
    # 16 patches and 4 tokens, or 32: sequences of 20 and 48, width 16, as long layers.
    expected = 10.0 * 48 * (6 * 16 + 48) / (20 * (6 * 16 + 20))
    assert Costs(store).estimate(longer).seconds == pytest.approx(expected)


@pytest.mark.parametrize(
    ("path", "value", "stage"),
    [
        ("training.precision", "bf16", "tokenizer"),
        ("training.perceptual", 0.1, "tokenizer"),
        ("tokenizer.encoding", "told", "tokenizer"),
        ("bank.extractor_resolution", 64, "bank"),
        ("bank.second_extractor", True, "bank"),
        ("evaluation.generative", True, "evaluation"),
    ],
)
def test_what_is_not_alike_is_no_measure(stages, took, small, store, path, value, stage):
    def asked(content):
        curve = stages(content)["evaluation"][0]
        bank = curve.inputs["bank"]
        return {"evaluation": curve, "bank": bank, "tokenizer": bank.inputs["tokenizer"]}[stage]

    took(stages()["evaluation"][0], 5.0)
    assert Costs(store).estimate(asked(small)) is not None
    assert Costs(store).estimate(asked(changed(small, path, value))) is None


def test_other_resources_and_resumed_stages_are_no_measure(stages, took, small, store):
    took(stages()["tokenizer"][0], 10.0, attempts=2)
    asked = stages(changed(small, "training.seed", 5))["tokenizer"][0]
    assert Costs(store).estimate(asked) is None
    took(stages(changed(small, "training.seed", 1))["tokenizer"][0], 20.0)
    assert Costs(store).estimate(asked).count == 1
    more = {**small, "resources": {"tokenizer": {"cpus": 2}}}
    assert Costs(store).estimate(stages(more)["tokenizer"][-1]) is None


def test_an_artifact_whose_inputs_are_gone_is_no_measure(stages, took, small, store):
    node = stages()["evaluation"][0]
    took(node, 5.0)
    bank = node.inputs["bank"].spec(store)
    (store.artifact("bank", bank.key) / "stage.json").unlink()
    asked = stages(changed(small, "evaluation.seed", 3))["evaluation"][0]
    assert Costs(store).estimate(asked) is None


def test_what_was_never_run_is_ordered_by_its_work(stages, took, small, store):
    longer = stages(changed(small, "training.steps", 120))["tokenizer"][0]
    short, other = stages()["tokenizer"][:2]
    found = Costs(store).expected([short, longer])
    assert found.guessed == {short, longer}
    assert found.seconds[longer] == pytest.approx(3 * found.seconds[short])
    assert sum(found.seconds.values()) == pytest.approx(2 * 60.0)
    took(short, 10.0)
    found = Costs(store).expected([short, longer, other])
    assert found.seconds[longer] == pytest.approx(30.0)
    assert found.guessed == set()


def test_a_stage_that_has_just_ended_is_learnt_from(stages, took, small, store):
    costs = Costs(store)
    node, other = stages()["tokenizer"][:2]
    assert costs.estimate(other) is None
    took(node, 12.0)
    assert costs.learn(node) == costs.learn(node)
    assert costs.estimate(other).seconds == 12.0
