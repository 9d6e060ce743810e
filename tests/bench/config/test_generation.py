import pytest

from bench.config.generation import GenerationConfig

POLICY = {"candidates": [1, 2, 4]}
FIXED = {"training": {"batch": 8}, "images": 20, "budget": 4}
ADAPTIVE = {"training": {"batch": 8}, "images": 20, "generator": {"lengths": "end_token"}}
SPEED = {"generator": {}, "lengths": {"kind": "two_point", "low": 1, "high": 4, "mean": 2}}
MODEL = {"lengths": {"kind": "model"}}


@pytest.fixture
def cell(load, small):
    """`cell(changes)`: the checked configuration of the small suite's base with changes."""

    def cell(changes):
        suite = load({**small, "arms": [{"name": "a", "set": changes}]})
        return suite.cells[0].config

    return cell


@pytest.fixture
def refused(refusal, small):
    """`refused(changes)`: what is said of them, behind the arm."""

    def refused(changes):
        message = refusal({**small, "arms": [{"name": "a", "set": changes}]})
        return message.removeprefix("arm 'a': ")

    return refused


def test_a_cell_is_of_one_kind(cell):
    assert cell({}).kind == "reconstruction"
    assert cell({"generation": FIXED}).kind == "generation"
    assert cell({"throughput": SPEED}).kind == "throughput"
    both = {"policy": POLICY, "generation": ADAPTIVE}
    assert cell({**both, "throughput": {**MODEL, "modes": ["padded"]}}).kind == "throughput"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"budget": None}, "generation: budget: missing, the generator's lengths are fixed"),
        (
            {"generator": {"lengths": "length_token"}},
            "generation: budget: a generator with length_token tells each length itself",
        ),
        ({"images": 1}, "generation: images: must be 2 or more"),
        ({"batch": 0}, "generation: batch: must be 1 or more"),
        ({"seed": -1}, "generation: seed: must lie in 0..2^31 - 1"),
        ({"labels": [2, 1]}, "generation: labels: [2, 1] must increase strictly"),
        ({"labels": [-1]}, "generation: labels: [-1] must increase strictly"),
        ({"labels": []}, "generation: labels: [] must increase strictly"),
        ({"labels": [1, 3]}, "generation.labels: 3 is out of range, the classes are 0..2"),
        (
            {"classes": "objects", "labels": [10]},
            "generation.labels: 10 is out of range, the classes are 0..9",
        ),
        (
            {"generator": {"class_conditional": False, "class_dropout": 0.0}, "labels": [1]},
            "generation: labels: the generator knows no classes; set it to null",
        ),
        (
            {
                "generator": {"class_conditional": False, "class_dropout": 0.0},
                "sampling": {"guidance": 2.0},
            },
            "generation: sampling.guidance: the generator knows no classes; set it to 1",
        ),
        (
            {"generator": {"class_dropout": 0.0}, "sampling": {"guidance": 2.0}},
            "generation: sampling.guidance: the generator never sees the null class",
        ),
        ({"budget": 3}, "generation.budget: 3 is not among the budgets of the bank [1, 2, 4]"),
        ({"images": 41}, "generation.images: 41 exceeds the bank's 40 training images"),
        (
            {"training": {"batch": 41}},
            "generation.training.batch: 41 exceeds the bank's 40 training images",
        ),
        ({"sampling": {"top_k": -1}}, "generation.sampling: top_k: must not be negative"),
        ({"generator": {"widht": 8}}, "generation.generator.widht: unknown key; did you mean"),
    ],
)
def test_generation_that_does_not_fit_itself_or_its_cell(refused, changes, expected):
    assert refused({"generation": {**FIXED, **changes}}).startswith(expected)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"generation": ADAPTIVE}, "generation.budget: is null, and there is no policy"),
        (
            {"generation": FIXED, "policy": POLICY},
            "policy: is not asked where generation.budget is given; remove either",
        ),
        (
            {"generation": FIXED, "allocator": {"kind": "oracle", "mean_budget": 2}},
            "allocator: a generator's lengths come from a policy or a budget; remove it",
        ),
        (
            {"generation": {**FIXED, "budget": 2}, "tokenizer.encoding": "told"},
            "generation.budget: the bank holds ids of 4 tokens alone",
        ),
        (
            {"generation": {**FIXED, "classes": "objects"}, "data": {"kind": "image_folder"}},
            "data.path: missing",
        ),
        (
            {
                "generation": {**FIXED, "classes": "objects"},
                "data": {"kind": "image_folder", "path": "/x", "resolution": 32},
            },
            "generation.classes: only scenes have a number of objects; set it to label",
        ),
        (
            {"generation": FIXED, "tokenizer.quantizer": {"kind": "lfq", "bits": 20}},
            "tokenizer.quantizer: a generator predicts 262144 codes at most, not 1048576",
        ),
    ],
)
def test_cells_whose_parts_do_not_go_together(refused, changes, expected):
    assert refused(changes).startswith(expected)


def test_ids_of_all_tokens_can_be_learned_also_where_they_are_not_nested(cell):
    assert cell({"generation": FIXED, "tokenizer.encoding": "told"}).generation.budget == 4


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"generator": None}, "throughput.generator: give it for random weights"),
        ({"lengths": {"kind": "model"}}, "throughput: lengths.kind: random weights know no length"),
        (
            {"generator": {"lengths": "end_token"}},
            "throughput: generator.lengths: random weights know no length; set it to fixed",
        ),
        ({"lengths": {"kind": "policy"}}, "throughput.lengths: there is no policy"),
        (
            {"lengths": {"kind": "two_point", "low": 1, "high": 8, "mean": 2}},
            "throughput.lengths: 8 tokens exceed the tokenizer's 4",
        ),
        ({"lengths": {"kind": "geometric"}}, "throughput.lengths.kind: input should be"),
        ({"batches": [64, 256]}, "throughput: images: 128 do not fill a batch of 256"),
        ({"batches": []}, "throughput: batches: give one or more, each once"),
        ({"batches": [0]}, "throughput: batches: give one or more, each once, of 1 or more"),
        ({"guidance": [0.5]}, "throughput: guidance: give one or more, each once, of 1 or more"),
        ({"modes": ["padded", "padded"]}, "throughput: modes: give one or more, each once"),
        ({"modes": ["refiled"]}, "throughput.modes.0: input should be"),
        ({"repeats": 0}, "throughput: repeats: must be 1 or more"),
        ({"classes": 0}, "throughput: classes: must be 1 or more"),
        ({"sampling": {"guidance": 2.0}}, "throughput: sampling.guidance: is measured over"),
        (
            {"generator": {"class_dropout": 0.0}, "guidance": [1.0, 2.0]},
            "throughput.guidance: the generator never sees the null class",
        ),
    ],
)
def test_throughput_that_does_not_fit_itself_or_its_cell(refused, changes, expected):
    assert refused({"throughput": {**SPEED, **changes}}).startswith(expected)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"policy": POLICY, "generation": ADAPTIVE, "throughput": SPEED},
            "throughput.generator: give it for random weights, or else the cell's generation",
        ),
        (
            {"policy": POLICY, "generation": ADAPTIVE, "throughput": MODEL},
            "throughput.modes: bucketed needs lengths that are known before decoding",
        ),
        (
            {"generation": FIXED, "throughput": MODEL},
            "throughput.lengths: the generator's lengths are fixed, it decides none itself",
        ),
        (
            {
                "policy": POLICY,
                "generation": ADAPTIVE,
                "throughput": {"lengths": {"kind": "policy"}},
            },
            "throughput.lengths: a generator with end_token decides itself",
        ),
        (
            {
                "policy": {"candidates": [1, 2]},
                "generation": ADAPTIVE,
                "throughput": {**MODEL, "modes": ["padded"]},
            },
            "throughput: the generator's longest sequences have 2 tokens",
        ),
        ({"policy": POLICY, "throughput": SPEED}, "policy: is not asked for throughput.lengths"),
    ],
)
def test_throughput_of_trained_generators(refused, changes, expected):
    assert refused(changes).startswith(expected)


def test_a_generator_of_a_length_that_is_not_known_yet_takes_all_tokens(refusal, small):
    small["arms"][-1]["set"]["generation"] = FIXED
    expected = "generation.budget: the tokenizer's length is not known yet; set it to all"
    assert refusal(small) == f"arm 'fixed_at_mean': {expected}"
    small["arms"][-1]["set"] |= {"generation": None, "throughput": SPEED}
    expected = "tokenizer.budgets: a speed is of a tokenizer whose budgets are known; list them"
    assert refusal(small) == f"arm 'fixed_at_mean': {expected}"


def test_all_tokens_are_those_of_the_tokenizer(cell, refused):
    assert cell({"generation": {**FIXED, "budget": "all"}}).generation.budget == "all"
    few = {"generation": {**FIXED, "budget": "all"}, "bank.budgets": [1, 2]}
    assert refused(few).startswith("generation.budget: 4 is not among the budgets of the bank")
    wrong = refused({"generation": {**FIXED, "budget": "al"}})
    assert wrong == "generation.budget: input should be a valid integer, not 'al'"


def test_a_length_is_read_from_an_evaluation(refusal, small):
    small["arms"][1]["set"]["generation"] = ADAPTIVE
    assert "no cell of arm 'policy' with a policy has" in refusal(small)


def test_settings_that_a_cell_is_without_leave_its_key_alone(load, small):
    first = load(small).cells[0]
    assert {"generation", "throughput"}.isdisjoint(first.settings)
    small["arms"] = [{"name": "elastic", "set": {"generation": FIXED}}]
    assert load(small).cells[0].settings["generation"]["budget"] == 4


def test_defaults_are_those_of_one_fixed_generator():
    assert GenerationConfig(budget=8).generator.lengths == "fixed"
