import re

import pytest
from refusals import refusals

from bench.config.evaluation import EvaluationConfig
from bench.errors import UserError

POLICY = {"candidates": [1, 2, 4]}
TRAINING = {"steps": 10, "warmup_steps": 0}
# The small suite's tokenizer has heads of rank 2; fine-tuning may add them to one without.
BARE = {"tokenizer.lora": {"rank": 0}}
HEADS = {"trainable": "heads", "training": TRAINING}


@pytest.fixture
def cell(load, small):
    """`cell(changes)`: the checked configuration of the small suite's base with changes."""

    def cell(changes):
        suite = load({**small, "arms": [{"name": "a", "set": changes}]})
        return suite.cells[0].config

    return cell


@pytest.fixture
def refusal(cell):
    """`refusal(changes)`: what is said of them, behind the file and the arm."""

    def refusal(changes):
        with pytest.raises(UserError) as error:
            cell(changes)
        message = str(error.value)
        assert "\n" not in message
        file, _, rest = message.partition(": arm 'a': ")
        assert file.endswith("suite.yaml")
        return rest

    return refusal


REFUSED = """
# banks that cannot be made
bank.latents: -1
    bank: latents: must be 0 or more, or null
bank.policy_seed: -1
    bank: policy_seed: must be 0 or more, or null
bank.latents: 0, policy: {candidates: [1, 2, 4]}
    bank.latents: 0 keeps none, and policy.input is latents; set it to null
# tokenizers that cannot be built
tokenizer.lora.rank: 17
    tokenizer: lora.rank: 17 exceeds the decoder's width 16
tokenizer.decoders: per_budget
    tokenizer: lora.rank: separate decoders carry no adapters; set it to 0
data.resolution: 36
    tokenizer.patch_size: 8 must divide the 36 px images
# finetuning that has nothing to train or to add
tokenizer.lora: {rank: 0}, finetuning: {trainable: heads, training: {steps: 10, warmup_steps: 0}}
    finetuning.trainable: there are no heads; give finetuning.lora a rank
tokenizer.lora: {rank: 0}, finetuning: {trainable: heads, training: {steps: 10, warmup_steps: 0},
lora: {rank: 0}}
    finetuning.trainable: there are no heads; give finetuning.lora a rank
finetuning: {lora: {rank: 2}, training: {steps: 10, warmup_steps: 0}}
    finetuning.lora: the tokenizer has adapters; set tokenizer.lora.rank to 0
tokenizer.lora: {rank: 0}, finetuning: {lora: {rank: 17}, training: {steps: 10, warmup_steps: 0}}
    finetuning.lora.rank: 17 exceeds the decoder's width 16
tokenizer.lora: {rank: 0}, tokenizer.decoders: per_budget, finetuning: {lora: {rank: 2}, training:
{steps: 10, warmup_steps: 0}}
    finetuning.lora: separate decoders carry no adapters; remove it
tokenizer.lora: {rank: 0}, tokenizer.decoders: per_budget, finetuning: {training: {steps: 10,
warmup_steps: 0}, trainable: heads}
    finetuning.trainable: there are no heads; give finetuning.lora a rank
finetuning: {trainable: all}
    finetuning.trainable: input should be 'decoder' or 'heads', not 'all'
# lengths that no bank can hold
bank.budgets: [1, 2, 5]
    bank.budgets: must lie in 1..4, the tokenizer's largest budget
bank.budgets: [0, 2]
    bank.budgets: must lie in 1..4, the tokenizer's largest budget
bank.budgets: [-1]
    bank.budgets: must lie in 1..4, the tokenizer's largest budget
bank.budgets: [2, 1]
    bank: budgets: [2, 1] must increase strictly, or be null
bank.budgets: [1, 2, 2]
    bank: budgets: [1, 2, 2] must increase strictly, or be null
bank.budgets: []
    bank: budgets: [] must increase strictly, or be null
# encodings that do not fit
tokenizer.encoding: grid
    tokenizer: budgets: the grid encoding has a single one, the number of patches
tokenizer.encoding: grid, tokenizer.budgets: [4]
    tokenizer.budgets: [4] must be [16], the patches of a 32 px image, for the encoding grid
tokenizer.encoding: recurrent
    tokenizer: rollouts: the recurrent encoding needs 1 or more
bank.own_targets: [0.1]
    bank.own_targets: the encoding one_pass does not halt by itself; set it to null
tokenizer.encoding: halting, bank.own_targets: []
    bank: own_targets: [] must increase strictly within (0, 1), or be null
tokenizer.encoding: halting, bank.own_targets: [0.2, 0.1]
    bank: own_targets: [0.2, 0.1] must increase strictly within (0, 1), or be null
tokenizer.encoding: halting, bank.own_targets: [0.1, 0.1]
    bank: own_targets: [0.1, 0.1] must increase strictly within (0, 1), or be null
tokenizer.encoding: halting, bank.own_targets: [0.0, 0.1]
    bank: own_targets: [0.0, 0.1] must increase strictly within (0, 1), or be null
tokenizer.encoding: halting, bank.own_targets: [0.5, 1.0]
    bank: own_targets: [0.5, 1.0] must increase strictly within (0, 1), or be null
# policies that cannot be trained
policy.candidates: [1, 3]
    policy.candidates: [3] are not among the budgets of the bank [1, 2, 4]
policy.candidates: [1, 2, 4], bank.budgets: [1, 3, 4]
    policy.candidates: [2] are not among the budgets of the bank [1, 3, 4]
policy: {candidates: [1, 2, 4], prefix: 2}
    policy: prefix: the input is latents; only the quantized input has a prefix
policy: {candidates: [1, 2, 4], input: pixels, prefix: 2}
    policy: prefix: the input is pixels; only the quantized input has a prefix
policy: {candidates: [1, 2, 4], input: quantized, prefix: 5}
    policy.prefix: 5 exceeds the 4 tokens of the tokenizer
policy: {candidates: [1, 2, 4]}, policy.weighting: {kind: hypervolume}
    policy.weighting.reference: missing; this key has no default
policy: {candidates: [1, 2, 4], objective: {kind: supervised}}, policy.weighting: {kind: gradient}
    policy: weighting.kind: gradient needs an objective with a policy gradient; supervised works
    with fixed and constraint
policy: {candidates: [1, 2, 4], reward: {perceptual_share: 0.5}}
    policy.reward.perceptual_share: the policy's bank measures no perceptual distance; set
    bank.policy_perceptual to true
# allocators that cannot be had
policy: {candidates: [1, 2, 4]}, allocator: {kind: png_size, mean_budget: 2}
    allocator: the cell has a policy, which is one; remove either
allocator: {kind: png_size, mean_budget: 2, candidates: [1, 3]}
    allocator.candidates: [3] are not among the budgets of the bank [1, 2, 4]
allocator: {kind: png_size, mean_budget: 5}
    allocator.mean_budget: 5 lies outside the candidates 1..4
allocator: {kind: png_size, mean_budget: 1.5, candidates: [2, 4]}
    allocator.mean_budget: 1.5 lies outside the candidates 2..4
allocator: {kind: codebook_entropy, mean_budget: 2, prefix: 5}
    allocator.prefix: 5 exceeds the 4 tokens of the tokenizer
allocator: {kind: codebook_entropy, mean_budget: 2, prefix: 0}
    allocator: prefix: must be 1 or more
allocator: {kind: png_size, mean_budget: 2}, tokenizer.budgets: [4]
    allocator: there is nothing to choose between, the bank's only budget is 4; give the tokenizer
    or the bank more budgets
allocator: {kind: threshold, search: scan}
    allocator: mean_budget, distortion: give exactly one of them
allocator: {kind: threshold, search: scan, mean_budget: 2, distortion: 0.1}
    allocator: mean_budget, distortion: give exactly one of them
allocator: {kind: threshold, search: scan, distortion: 0}
    allocator: distortion: must be positive
allocator: {kind: threshold, mean_budget: 2}
    allocator.search: missing; this key has no default
allocator: {kind: png_size, mean_budget: 2, candidates: [2, 1]}
    allocator: candidates: [2, 1] must increase strictly
allocator: {kind: png_size, mean_budget: 2, candidates: [2]}
    allocator: candidates: needs 2 or more budgets, each 1 or more
allocator: {mean_budget: 2}
    allocator.kind: missing; say which kind is meant
allocator: {kind: own, target: 0.2}
    allocator.target: 0.2 is not among bank.own_targets []; add it there
allocator: {kind: own}
    allocator.target: missing; this key has no default
allocator: {kind: png_size, mean_budget: 2, prefix: 2}
    allocator.prefix: unknown key; valid: candidates, kind, mean_budget
# metrics that cannot be taken
evaluation.kid_subset: 13
    evaluation.kid_subset: 24 validation images do not fill two blocks of 13; lower it
data.validation: 3
    evaluation.kid_subset: 3 validation images do not fill two blocks of 2; give more images
evaluation.kid_subset: 1
    evaluation: kid_subset: must be 2 or more, or null
evaluation.generative: true, data.validation: 9
    evaluation.generative: an inception score needs 10 validation images or more, not 9
bank.inception_sha256: '6726825'
    bank: inception_sha256: must be 8 to 64 hexadecimal digits, in lower case
bank.inception_sha256: 6726825D
    bank: inception_sha256: must be 8 to 64 hexadecimal digits, in lower case
bank.weights_sha256: {vgg16: 397923af, lpips: A78928a0}
    bank: weights_sha256.lpips: must be 8 to 64 hexadecimal digits, in lower case
training.perceptual_network: lpips
    training.perceptual_network: lpips has no weight; set training.perceptual
training: {perceptual: 0.5, perceptual_network: lpips}
    training.perceptual_network: 'lpips' is not in bank.extractors [], where its weights are
    given; add it there
bank.weights: {inception: w}
    bank: weights.inception: set inception_weights
bank.weights_sha256: {inception: 6726825d}
    bank: weights_sha256.inception: set inception_sha256
bank.weights: {lpips: 3}
    bank.weights.lpips: input should be a valid string, not 3
"""


@pytest.mark.parametrize(("changes", "expected"), refusals(REFUSED))
def test_what_does_not_go_together_is_refused(refusal, changes, expected):
    assert refusal(changes) == expected


@pytest.mark.parametrize("key", ["training", "finetuning.training"])
def test_lengths_that_a_tokenizer_cannot_be_trained_at(cell, refusal, key):
    changes = {"finetuning": {"training": TRAINING}, "tokenizer.budgets": [4]}
    changes[f"{key}.lengths"] = {"decodes": "pairs", "distribution": "candidates"}
    expected = f"{key}.lengths.decodes: pairs of the only length 4; set it to one"
    assert refusal(changes) == expected
    cell({**changes, "tokenizer.budgets": [1, 4]})
    changes[f"{key}.lengths"] = {"distribution": "policy", "share": 1.5}
    assert refusal(changes) == f"{key}.lengths: share: must lie in [0, 1]"


@pytest.mark.parametrize("key", ["training", "finetuning.training"])
@pytest.mark.parametrize(("name", "value"), [("perceptual", 0.1), ("adversarial", {"weight": 0.1})])
def test_networks_need_images_that_are_large_enough(cell, refusal, key, name, value):
    changes = {"finetuning": {"training": TRAINING}, f"{key}.{name}": value}
    expected = f"{key}.{name}: needs images of 32 px or more"
    assert refusal({**changes, "data.resolution": 24}) == expected
    assert getattr(cell(changes).trainings[key], name)


def test_finetuning_trains_heads_that_are_there_or_added(cell):
    own = cell({"finetuning": HEADS})
    assert own.final_tokenizer == own.tokenizer
    added = cell({**BARE, "finetuning": {**HEADS, "lora": {"rank": 3, "alpha": 2.0}}})
    assert (added.tokenizer.lora.rank, added.final_tokenizer.lora.rank) == (0, 3)
    assert added.final_tokenizer.lora.alpha == 2.0
    assert cell({}).final_tokenizer == cell({}).tokenizer
    assert list(cell({}).trainings) == ["training"]


def test_a_policy_on_pixels_needs_no_latents(cell):
    policy = {"candidates": [1, 2, 4], "input": "pixels"}
    assert cell({"bank.latents": 0, "policy": policy}).bank.latents == 0


def test_encodings_that_fit(cell):
    grid = cell({"tokenizer.encoding": "grid", "tokenizer.budgets": [16]})
    assert grid.bank_budgets == (16,)
    changes = {"tokenizer.encoding": "halting", "bank.own_targets": [0.1, 0.2]}
    assert cell(changes).bank.own_targets == (0.1, 0.2)
    changes = {"tokenizer.encoding": "recurrent", "tokenizer.rollouts": 4}
    assert cell(changes).tokenizer.rollouts == 4


def test_a_bank_holds_the_tokenizers_budgets_unless_told_otherwise(cell):
    assert cell({}).bank_budgets == (1, 2, 4)
    assert cell({"bank.budgets": [1, 3]}).bank_budgets == (1, 3)


def test_a_budget_that_is_not_known_yet_cannot_have_lengths_around_it(load, small):
    policy = {"name": "policy", "set": {"policy": POLICY}}
    waiting = {
        "name": "waiting",
        "set": {"tokenizer.budgets": {"mean_budget_of": "policy"}, "bank.budgets": [1, 2]},
    }
    with pytest.raises(
        UserError, match=r"suite\.yaml: arm 'waiting': bank\.budgets: .*; set it to null$"
    ):
        load({**small, "arms": [policy, waiting]})
    waiting["set"]["bank.budgets"] = None
    assert load({**small, "arms": [policy, waiting]}).cells[1].sources == (0,)


@pytest.mark.parametrize("reference", ["trained", [1.0], [0.0, 0.0, 0.0], 1.0])
def test_a_reference_point_has_two_numbers_or_is_that_of_the_untrained_policy(refusal, reference):
    changes = {
        "policy": POLICY,
        "policy.weighting": {"kind": "hypervolume", "reference": reference},
    }
    assert re.match(r"policy\.weighting\.reference[.:]", refusal(changes))


def test_policies_may_use_what_the_bank_holds(cell):
    changes = {
        "bank.budgets": [1, 3, 4],
        "bank.policy_perceptual": True,
        "policy": {"candidates": [1, 3], "input": "quantized", "prefix": 4},
        "policy.reward.perceptual_share": 0.5,
        "policy.weighting": {"kind": "hypervolume", "reference": [-0.5, 0.0]},
    }
    policy = cell(changes).policy
    assert (policy.candidates, policy.prefix) == ((1, 3), 4)
    assert policy.weighting.reference == (-0.5, 0.0)


PNG = {"kind": "png_size", "mean_budget": 2}


def test_an_unknown_allocator_is_told_the_kinds(refusal):
    message = refusal({"allocator": {"kind": "png", "mean_budget": 2}})
    assert message.startswith(
        "allocator.kind: input should be 'agnostic' or 'oracle' or 'png_size'"
    )


def test_a_cell_allocates_by_a_policy_or_an_allocator(cell):
    assert not cell({}).allocates
    assert cell({"policy": POLICY}).allocates
    changes = {"allocator": {**PNG, "candidates": [1, 3]}, "bank.budgets": [1, 3, 4]}
    assert cell(changes).allocates
    assert cell(changes).allocator.candidates == (1, 3)


def test_weight_files_are_found_from_any_folder(cell, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    bank = cell(
        {
            "bank.inception_weights": "~/i.pth",
            "bank.weights": {"vgg16": "v.pth", "dinov2": "/d.pth"},
        }
    ).bank
    assert bank.weight_paths == {
        "inception": "/home/me/i.pth",
        "vgg16": f"{tmp_path}/v.pth",
        "dinov2": "/d.pth",
    }
    assert bank.weight_hashes == {"inception": "6726825d"}


def test_blocks_of_half_the_images_are_the_largest(cell):
    assert cell({"evaluation.kid_subset": 12}).evaluation.kid_subset == 12
    assert cell({"data.validation": 9}).evaluation == EvaluationConfig()


def test_images_too_small_for_structural_similarity(tmp_path, refusal):
    folder = {"kind": "image_folder", "path": str(tmp_path), "resolution": 8}
    changes = {"data": folder, "bank.policy_images": None}
    assert refusal(changes) == "data.resolution: SSIM needs 11 px or more, not 8"
