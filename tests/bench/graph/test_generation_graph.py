from collections import Counter

import pytest

from bench.files import file_sha256
from bench.graph.suite_graph import build_graph
from bench.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def cells(load, generation):
    """`cells(**changes)`: last nodes by arm; the changes are of the second arm's settings."""

    def cells(arm="adaptive", **changes):
        (chosen,) = (one for one in generation["arms"] if one["name"] == arm)
        chosen["set"] |= changes
        suite = load(generation)
        return dict(zip((c.arm for c in suite.cells), build_graph(suite).evaluations, strict=True))

    return cells


def test_a_cell_ends_in_what_it_is_of(cells):
    last = {arm: node.stage for arm, node in cells().items()}
    assert last == {
        "fixed": "samples",
        "adaptive": "samples",
        "policy speed": "throughput",
        "trained speed": "throughput",
    }


def test_stages_are_shared(load, generation):
    graph = build_graph(load(generation))
    counts = Counter(node.stage for node in graph.order())
    assert counts == {
        "data": 2,
        "tokenizer": 1,
        "bank": 3,  # of training images, and of validation images with features and without
        "policy": 1,
        "png_sizes": 1,
        "evaluation": 1,  # whose budgets are lengths to measure
        "generator": 2,
        "samples": 2,
        "code_histograms": 2,  # of either's samples
        "throughput": 2,
    }


def test_a_generator_learns_the_bank_that_its_policy_learned(cells):
    adaptive, fixed = cells()["adaptive"], cells()["fixed"]
    generator = adaptive.inputs["generator"]
    assert generator.inputs["training"] is adaptive.inputs["training"]
    assert generator.inputs["training"] is generator.inputs["policy"].inputs["bank"]
    assert adaptive.inputs["policy"] is generator.inputs["policy"]
    held_out = generator.inputs["held_out"]
    assert held_out.config["purpose"] == "policy"
    assert held_out.inputs["images"] is adaptive.inputs["bank"].inputs["images"]
    assert "policy" not in fixed.inputs["generator"].inputs
    assert generator.config["budget"] is None
    assert fixed.inputs["generator"].config["budget"] == 2


def test_a_generator_of_a_policys_mean_length_waits_for_the_policy(load, generation, store):
    generation["arms"] += [
        {"name": "policy", "set": {"policy": {"candidates": [1, 2, 4]}, "generation": None}},
        {
            "name": "at the mean",
            "set": {"tokenizer.budgets": {"mean_budget_of": "policy"}, "generation.budget": "all"},
        },
    ]
    suite = load(generation)
    graph = build_graph(suite)
    policy, samples = graph.evaluations[-2:]
    generator = samples.inputs["generator"]
    assert generator.config["budget"] == "all"
    assert generator.inputs["tokenizer"] is samples.inputs["tokenizer"]
    assert generator.inputs["tokenizer"].budget_sources == (policy,)
    assert (policy.stage, samples.spec(store)) == ("evaluation", None)
    (histograms,) = graph.extras[-1]
    assert histograms.inputs["samples"] is samples
    assert suite.cells[-1].settings["generation"]["budget"] == "all"


def test_a_policy_that_looks_at_pixels_gets_those_of_both_splits(cells):
    policy = {"policy": {"candidates": [1, 2, 4], "input": "pixels"}}
    samples = cells(**policy)["adaptive"]
    generator = samples.inputs["generator"]
    assert samples.inputs["bank_images"] is samples.inputs["bank"].inputs["images"]
    assert generator.inputs["training_images"] is samples.inputs["training_images"]
    assert generator.inputs["held_out_images"] is samples.inputs["bank_images"]


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        ("generation.training", {"steps": 31, "batch": 8, "warmup_steps": 5}, True),
        ("generation.classes", "label", True),
        ("generation.images", 19, False),
        ("generation.labels", [1], False),
        ("generation.seed", 1, False),
        ("generation.batch", 4, False),
        ("generation.sampling", {"top_p": 0.5}, False),
        ("evaluation.generative", True, False),
        ("evaluation.kid_subset", 3, False),
        ("bank.extractor_resolution", 33, False),
        ("bank.second_extractor", True, False),
    ],
)
def test_how_samples_are_drawn_and_judged_trains_no_other_generator(
    cells, store, path, value, changed
):
    def keys(**changes):
        node = cells(**changes)["adaptive"]
        return node.spec(store).key, node.inputs["generator"].spec(store).key

    before, after = keys(), keys(**{path: value})
    assert before[0] != after[0]
    assert (before[1] != after[1]) == changed


def test_speed_of_random_weights_needs_no_image(cells, store):
    lengths = {"kind": "two_point", "low": 1, "high": 4, "mean": 2}
    speed = cells("policy speed", policy=None, **{"throughput.lengths": lengths})["policy speed"]
    assert speed.inputs == {}
    assert speed.config["tokenizer"]["budgets"] == [1, 2, 4]
    assert speed.config["resolution"] == 32


def test_speed_waits_for_the_lengths_and_the_weights_that_it_is_of(cells):
    made = cells()
    assert set(made["policy speed"].inputs) == {"evaluation", "tokenizer"}
    assert made["policy speed"].inputs["evaluation"].stage == "evaluation"
    assert set(made["trained speed"].inputs) == {"generator", "tokenizer"}
    assert made["trained speed"].inputs["generator"] is made["adaptive"].inputs["generator"]


def test_samples_are_measured_by_networks_that_give_features(cells, store, tmp_path):
    def samples(**changes):
        return cells(**{"bank.weights": files, "bank.weights_sha256": hashes, **changes})[
            "adaptive"
        ]

    files, hashes = {}, {}
    for name in ("vgg16", "lpips", "dinov2"):
        (tmp_path / name).write_text(name)
        files[name] = str(tmp_path / name)
        hashes[name] = file_sha256(files[name])
    both = samples(**{"bank.extractors": ["lpips", "dinov2"]})
    assert both.config["extractors"] == ["dinov2"]
    assert both.config["weights"] == {"dinov2": hashes["dinov2"]}
    assert both.inputs["bank"].config["weights"] == hashes
    del files["dinov2"], hashes["dinov2"]
    distances = samples(**{"bank.extractors": ["lpips"]})
    assert not {"extractors", "weights"} & {*distances.config}
