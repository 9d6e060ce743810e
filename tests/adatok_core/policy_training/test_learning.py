import math
from dataclasses import replace

import pytest
import torch

from adatok_core import policy_training
from adatok_core.config import KL, OFF, Annealed, DeterministicGroup, SampledGroup, Supervised
from adatok_core.policy_training import build_policy
from adatok_core.rewards import RewardTable

ANNEALED = Annealed(start=0.3, end=0.005)
K3 = {"group_baseline": "uniform", "kl": KL(coefficient=ANNEALED), "entropy": OFF}
MORE = {
    "group_std": DeterministicGroup(normalise_advantage=True),
    "group_uniform": DeterministicGroup(**K3),
    "group_uniform_std": DeterministicGroup(**K3, normalise_advantage=True),
    "group_twice": DeterministicGroup(updates_per_batch=2),
    "sampled_plain": SampledGroup(draws=4, normalise_advantage=False),
}


@pytest.mark.parametrize(
    "name", ["group", "sampled", "reinforce", "ppo", "supervised", "snapshot", *MORE]
)
def test_complex_images_receive_more_tokens(train, unseen, config, objectives, snapshot, name):
    objective = {**objectives, **MORE, "snapshot": DeterministicGroup(kl=snapshot)}[name]
    policy = train(replace(config, objective=objective)).trained_policy()
    chosen = policy.choose(unseen.features)
    spent = unseen.budgets[chosen]
    simple, involved = (
        spent[part].mean() for part in (unseen.complexity < 1 / 3, unseen.complexity > 2 / 3)
    )
    assert involved > simple + 3
    # It earns more than any budget that is the same for all.
    rewards = RewardTable.of(unseen.mse, config.candidates, max_tokens=16)
    everyone = torch.arange(len(chosen))
    table = rewards.scalar(everyone, torch.tensor([0.7, 0.3]))
    assert table[everyone, chosen].mean() > table.mean(0).max() + 0.01


@pytest.mark.parametrize("entropy", [OFF, ANNEALED], ids=["nothing", "entropy"])
def test_a_uniform_group_without_a_penalty_ends_in_one_budget_for_all(train, seen, config, entropy):
    objective = DeterministicGroup(group_baseline="uniform", entropy=entropy)
    trainer = train(replace(config, objective=objective))
    last = trainer.history[-1]
    assert max(last[f"share_{b}"] for b in config.candidates) == 1
    assert last["entropy"] < 0.01
    assert len(trainer.trained_policy().choose(seen.features).unique()) == 1


@pytest.mark.parametrize("efficiencies", [(0.1, 0.3, 0.7)])
def test_weights_of_the_rewards_decide_how_much_is_spent(train, config, efficiencies):
    means = [
        train(replace(config, steps=60, weighting=replace(config.weighting, efficiency=e)))
        .history[-1]["mean_budget"]
        for e in efficiencies
    ]  # fmt: skip
    assert means[0] > means[1] + 1 > means[2] + 2


def test_a_supervised_predictor_is_folded_into_a_policy_with_the_same_choice(
    train, seen, config, weights
):
    trainer = train(replace(config, steps=40, objective=Supervised()))
    before = weights(trainer.policy)
    score = 0.7 * trainer.policy(seen.features) + 0.3 * trainer.rewards.efficiency
    policy = trainer.trained_policy()
    torch.testing.assert_close(policy(seen.features), score)
    assert not policy.training
    assert torch.equal(weights(trainer.policy), before)


def test_a_policy_under_fixed_weights_is_returned_as_it_is(train, config, weights):
    trainer = train(replace(config, steps=7))
    policy = trainer.trained_policy()
    assert torch.equal(weights(policy), weights(trainer.policy))
    assert policy is not trainer.policy
    assert not policy.training


@pytest.mark.parametrize("name", ["group", "supervised"])
def test_the_arg_max_on_the_first_images_is_watched(
    monkeypatch, train, seen, config, objectives, name
):
    monkeypatch.setattr(policy_training, "MONITOR_IMAGES", 50)
    trainer = train(replace(config, steps=40, objective=objectives[name]))
    chosen, last = trainer.trained_policy().choose(seen.features[:50]), trainer.history[-1]
    assert last["monitor_tokens"] == pytest.approx(seen.budgets[chosen].mean().item())
    assert last["monitor_mse"] == pytest.approx(seen.mse[torch.arange(50), chosen].mean().item())


def test_the_point_is_the_expectation_on_the_first_images(monkeypatch, train, seen, config):
    monkeypatch.setattr(policy_training, "MONITOR_IMAGES", 50)
    trainer = train(replace(config, steps=40))
    chances = trainer.policy(seen.features[:50]).softmax(-1)
    fidelity, efficiency = trainer.point()
    assert fidelity == pytest.approx(
        (chances * trainer.rewards.fidelity[:50]).sum(-1).mean().item()
    )
    assert efficiency == pytest.approx(1 - (chances @ seen.budgets).mean().item() / 16)


def test_initial_weights_depend_on_the_seed_alone(config, seen):
    a, b, c = (
        build_policy(replace(config, seed=seed, steps=steps), length=3, width=8).state_dict()
        for seed, steps in ((0, 7), (0, 9), (1, 7))
    )
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["queries"], c["queries"])
    assert a["queries"].shape == (4, 8)
    assert a["hidden.weight"].shape == (16, 32)
    assert a["logits.weight"].shape == (4, 16)
    critic = build_policy(config, length=3, width=8, outputs=1)
    assert critic(seen.features[:5]).shape == (5, 1)


def test_all_inputs_but_latents_are_embedded(config):
    latents, quantized, pixels = (
        build_policy(replace(config, input=name), length=3, width=8).embed
        for name in ("latents", "quantized", "pixels")
    )
    assert latents is None
    assert quantized.in_features == pixels.in_features == 8


def test_a_policy_beyond_doubt_leaves_a_finite_log(trainer_of, config):
    trainer = trainer_of(replace(config, steps=1))
    with torch.no_grad():
        trainer.policy.logits.bias[0] = 500.0  # the other chances underflow to 0
    list(trainer.run())
    row = trainer.history[0]
    assert row["entropy"] == pytest.approx(0, abs=1e-30)
    assert row["kl_to_reference"] == pytest.approx(math.log(4))
