import pytest
from refusals import refusals

from bench.errors import UserError

POLICY = {"candidates": [1, 2, 4]}
CHOSEN = {"steps": 10, "warmup_steps": 0, "lengths": {"distribution": "policy"}}
PLAIN = {"steps": 10, "warmup_steps": 0}


@pytest.fixture
def cell(load, small):
    """`cell(changes)`: the checked configuration of the small suite's base with changes."""
    return lambda changes: load({**small, "arms": [{"name": "a", "set": changes}]}).cells[0].config


REFUSED = """
codesign: {rounds: 0, training: {steps: 10, warmup_steps: 0}}
    codesign: rounds: must be 1 or more
codesign: {rounds: 1}
    codesign.training: missing; this key has no default
codesign: {training: {steps: 10, warmup_steps: 0, lengths: {share: 1.1}}}
    codesign.training.lengths: share: must lie in [0, 1]
codesign: {training: {steps: 10, warmup_steps: 0, lengths: {share: -0.1}}}
    codesign.training.lengths: share: must lie in [0, 1]
training.lengths.distribution: policy, policy: {candidates: [1, 2, 4]}
    training.lengths.distribution: policy: no policy has chosen lengths for it; only
    codesign.training can have this, so choose another here
finetuning.training: &id001 {steps: 10, warmup_steps: 0, lengths: {distribution: policy}},
codesign.training: *id001, policy: {candidates: [1, 2, 4]}
    finetuning.training.lengths.distribution: policy: no policy has chosen lengths for it; only
    codesign.training can have this, so choose another here
training.lengths.weights: policy, policy: {candidates: [1, 2, 4]}
    training.lengths.weights: policy: no policy has chosen lengths for it; only codesign.training
    can have this, so choose another here
codesign.training: {steps: 10, warmup_steps: 0, lengths: {weights: policy}}
    codesign.policy: missing, and the cell has no policy either, to choose lengths; give one of
    them
codesign.training: {steps: 10, warmup_steps: 0, lengths: {distribution: policy}}
    codesign.policy: missing, and the cell has no policy either, to choose lengths; give one of
    them
codesign.training: {steps: 10, warmup_steps: 0, lengths: {distribution: policy}}, codesign.policy:
{candidates: [1, 3]}
    codesign.policy.candidates: [3] are not among the budgets of the bank [1, 2, 4]
codesign.training: {steps: 10, warmup_steps: 0, lengths: {distribution: policy}}, policy:
{candidates: [1, 3]}, bank.budgets: [1, 2, 3, 4]
    policy.candidates: [3] are not among the tokenizer's budgets [1, 2, 4], which codesign trains
codesign.training: {steps: 10, warmup_steps: 0, lengths: {distribution: policy}}, policy:
{candidates: [1, 2, 4]}, bank.policy_images: 0
    bank: policy_images: must be 1 or more
tokenizer: {kind: external, factory: 'a:b', budgets: [1, 2, 4]}, codesign.training: {steps: 10,
warmup_steps: 0, lengths: {distribution: policy}}, policy: {candidates: [1, 2, 4]}
    codesign: only tokenizers that are trained here have one; remove it
codesign: {start: scratch, training: {steps: 10, warmup_steps: 0}}
    codesign.start: scratch, at lengths that no policy chooses, is another first training; set it
    to warm
codesign: {training: {steps: 10, warmup_steps: 0}, policy: {candidates: [1, 2, 4]}}
    codesign.policy: would choose nothing; set codesign.training.lengths.distribution or weights
    to policy, or remove it
codesign.training: {steps: 10, warmup_steps: 0, lengths: {distribution: policy}}, codesign.policy:
{candidates: [1, 2, 4], reward: {perceptual_share: 0.5}}
    codesign.policy.reward.perceptual_share: the policy's bank measures no perceptual distance;
    set bank.policy_perceptual to true
codesign.training: {steps: 10, warmup_steps: 0, lengths: {distribution: policy}}, policy:
{candidates: [1, 2, 4]}, tokenizer.budgets: [4]
    policy.candidates: [1, 2] are not among the budgets of the bank [4]
"""


@pytest.mark.parametrize(("changes", "expected"), refusals(REFUSED))
def test_rounds_that_cannot_be_trained_are_refused_in_one_line(cell, changes, expected):
    with pytest.raises(UserError) as error:
        cell(changes)
    assert str(error.value).partition(": arm 'a': ")[2] == expected


def test_lengths_are_chosen_by_the_policy_of_codesign_or_else_the_cells_own(cell):
    both = {"codesign": {"training": CHOSEN, "policy": {"candidates": [2, 4]}}, "policy": POLICY}
    assert cell(both).codesign_policy.candidates == (2, 4)
    own = cell({"codesign.training": CHOSEN, "policy": POLICY})
    assert own.codesign_policy is own.policy
    assert cell({"codesign.training": PLAIN, "policy": POLICY}).codesign_policy is None
    assert list(cell({"codesign.training": PLAIN}).trainings) == ["training", "codesign.training"]


def test_each_round_draws_apart_and_with_the_cells_seed(cell):
    seeds = []
    for seed in (0, 1):
        config = cell({"training.seed": seed, "codesign.training": {**PLAIN, "seed": 5}})
        seeds += [
            config.codesign.training_of(number, seed=config.training.seed).seed for number in (1, 2)
        ]
    assert seeds == [1005, 2005, 1006, 2006]
