import pytest
from refusals import refusals

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


REFUSED = """
# generation that does not fit itself or its cell
generation: {<<: *fixed, budget: null}
    generation: budget: missing, the generator's lengths are fixed
generation: {<<: *fixed, generator: {lengths: length_token}}
    generation: budget: a generator with length_token tells each length itself
generation: {<<: *fixed, images: 1}
    generation: images: must be 2 or more
generation: {<<: *fixed, batch: 0}
    generation: batch: must be 1 or more
generation: {<<: *fixed, seed: -1}
    generation: seed: must lie in 0..2^31 - 1
generation: {<<: *fixed, labels: [2, 1]}
    generation: labels: [2, 1] must increase strictly
generation: {<<: *fixed, labels: [-1]}
    generation: labels: [-1] must increase strictly
generation: {<<: *fixed, labels: []}
    generation: labels: [] must increase strictly
generation: {<<: *fixed, labels: [1, 3]}
    generation.labels: 3 is out of range, the classes are 0..2
generation: {<<: *fixed, classes: objects, labels: [10]}
    generation.labels: 10 is out of range, the classes are 0..9
generation: {<<: *fixed, generator: {class_conditional: false, class_dropout: 0.0}, labels: [1]}
    generation: labels: the generator knows no classes; set it to null
generation: {<<: *fixed, generator: {class_conditional: false, class_dropout: 0.0}, sampling:
{guidance: 2.0}}
    generation: sampling.guidance: the generator knows no classes; set it to 1
generation: {<<: *fixed, generator: {class_dropout: 0.0}, sampling: {guidance: 2.0}}
    generation: sampling.guidance: the generator never sees the null class
generation: {<<: *fixed, budget: 3}
    generation.budget: 3 is not among the budgets of the bank [1, 2, 4]
generation: {<<: *fixed, images: 41}
    generation.images: 41 exceeds the bank's 40 training images
generation: {<<: *fixed, training: {batch: 41}}
    generation.training.batch: 41 exceeds the bank's 40 training images
generation: {<<: *fixed, sampling: {top_k: -1}}
    generation.sampling: top_k: must not be negative
generation: {<<: *fixed, generator: {widht: 8}}
    generation.generator.widht: unknown key; did you mean
# cells whose parts do not go together
generation: *adaptive
    generation.budget: is null, and there is no policy
generation: *fixed, policy: *three
    policy: is not asked where generation.budget is given; remove either
generation: *fixed, allocator: {kind: oracle, mean_budget: 2}
    allocator: a generator's lengths come from a policy or a budget; remove it
generation: {<<: *fixed, budget: 2}, tokenizer.encoding: told
    generation.budget: the bank holds ids of 4 tokens alone
generation: {<<: *fixed, classes: objects}, data: {kind: image_folder}
    data.path: missing
generation: {<<: *fixed, classes: objects}, data: {kind: image_folder, path: /x, resolution: 32}
    generation.classes: only scenes have a number of objects; set it to label
generation: *fixed, tokenizer.quantizer: {kind: lfq, bits: 20}
    tokenizer.quantizer: a generator predicts 262144 codes at most, not 1048576
# throughput that does not fit itself or its cell
throughput: {<<: *speed, generator: null}
    throughput.generator: give it for random weights
throughput: {<<: *model, generator: {}}
    throughput: lengths.kind: random weights know no length
throughput: {<<: *speed, generator: {lengths: end_token}}
    throughput: generator.lengths: random weights know no length; set it to fixed
throughput: {<<: *speed, lengths: {kind: policy}}
    throughput.lengths: there is no policy
throughput: {<<: *speed, lengths: {kind: two_point, low: 1, high: 8, mean: 2}}
    throughput.lengths: 8 tokens exceed the tokenizer's 4
throughput: {<<: *speed, lengths: {kind: geometric}}
    throughput.lengths.kind: input should be
throughput: {<<: *speed, batches: [64, 256]}
    throughput: images: 128 do not fill a batch of 256
throughput: {<<: *speed, batches: []}
    throughput: batches: give one or more, each once
throughput: {<<: *speed, batches: [0]}
    throughput: batches: give one or more, each once, of 1 or more
throughput: {<<: *speed, guidance: [0.5]}
    throughput: guidance: give one or more, each once, of 1 or more
throughput: {<<: *speed, modes: [padded, padded]}
    throughput: modes: give one or more, each once
throughput: {<<: *speed, modes: [refiled]}
    throughput.modes.0: input should be
throughput: {<<: *speed, repeats: 0}
    throughput: repeats: must be 1 or more
throughput: {<<: *speed, classes: 0}
    throughput: classes: must be 1 or more
throughput: {<<: *speed, sampling: {guidance: 2.0}}
    throughput: sampling.guidance: is measured over
throughput: {<<: *speed, generator: {class_dropout: 0.0}, guidance: [1.0, 2.0]}
    throughput.guidance: the generator never sees the null class
# throughput of trained generators
policy: *three, generation: *adaptive, throughput: *speed
    throughput.generator: give it for random weights, or else the cell's generation
policy: *three, generation: *adaptive, throughput: *model
    throughput.modes: bucketed needs lengths that are known before decoding
generation: *fixed, throughput: *model
    throughput.lengths: the generator's lengths are fixed, it decides none itself
policy: *three, generation: *adaptive, throughput: {lengths: {kind: policy}}
    throughput.lengths: a generator with end_token decides itself
policy: {candidates: [1, 2]}, generation: *adaptive, throughput: {<<: *model, modes: [padded]}
    throughput: the generator's longest sequences have 2 tokens
policy: *three, throughput: *speed
    policy: is not asked for throughput.lengths
"""
NAMED = {
    "fixed": "{training: {batch: 8}, images: 20, budget: 4}",
    "adaptive": "{training: {batch: 8}, images: 20, generator: {lengths: end_token}}",
    "speed": "{generator: {}, lengths: {kind: two_point, low: 1, high: 4, mean: 2}}",
    "model": "{lengths: {kind: model}}",
    "three": "{candidates: [1, 2, 4]}",
}


@pytest.mark.parametrize(("changes", "expected"), refusals(REFUSED, **NAMED))
def test_what_does_not_go_together_is_refused(refused, changes, expected):
    assert refused(changes).startswith(expected)


def test_ids_of_all_tokens_can_be_learned_also_where_they_are_not_nested(cell):
    assert cell({"generation": FIXED, "tokenizer.encoding": "told"}).generation.budget == 4


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
