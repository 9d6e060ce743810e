import copy
from dataclasses import replace

import pytest
import torch

from adatok_core import policy_training
from adatok_core.config import (
    KL,
    PPO,
    Annealed,
    ConstraintWeighting,
    DeterministicGroup,
    GradientWeighting,
    Reinforce,
    SampledGroup,
    Supervised,
)

KINDS = ["group", "sampled", "reinforce", "ppo", "supervised"]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("target", [4.0, 10.0])
def test_a_constraint_brings_the_arg_max_to_its_mean_budget(
    train, seen, config, objectives, name, target
):
    weighting = ConstraintWeighting(mean_budget=target, step_size=0.3)
    trainer = train(replace(config, steps=60, objective=objectives[name], weighting=weighting))
    chosen = trainer.trained_policy().choose(seen.features)
    assert seen.budgets[chosen].mean().item() == pytest.approx(target, rel=0.02)
    assert len(chosen.unique()) >= 2


@pytest.mark.parametrize("name", KINDS)
def test_a_constraint_brings_the_arg_max_to_its_quality_drop(train, seen, config, objectives, name):
    weighting = ConstraintWeighting(quality_drop=0.2, step_size=0.3)
    trainer = train(replace(config, steps=60, objective=objectives[name], weighting=weighting))
    chosen = trainer.trained_policy().choose(seen.features)
    fidelity = trainer.rewards.fidelity
    drop = (fidelity[:, -1] - fidelity[torch.arange(300), chosen]).mean().item()
    assert drop == pytest.approx(0.2, rel=0.03)  # one image's step is up to 0.01
    assert len(chosen.unique()) >= 2


def test_dual_ascent_alone_brings_the_chances_close_to_the_constraint(train, config):
    weighting = ConstraintWeighting(mean_budget=5.0, step_size=0.3)
    history = train(replace(config, weighting=weighting, log_every=1)).history
    assert history[0]["weight_efficiency"] == 0.5
    assert history[1]["weight_efficiency"] > 0.5  # the uniform policy spends 7.5
    settled = [row["mean_budget"] for row in history[-50:]]
    assert sum(settled) / 50 == pytest.approx(5, rel=0.05)


@pytest.mark.parametrize(("target", "budget"), [(2.9, 2), (3.1, 4), (11.0, 8), (13.0, 16)])
def test_images_that_look_alike_take_the_budget_nearest_to_the_constraint(
    train, seen, config, target, budget
):
    features = seen.features[:1].expand(300, -1, -1)
    # A table of which every budget is the best one at some price.
    mse = torch.tensor([[1.0, 0.5, 0.2, 0.0]]).expand(300, -1)
    weighting = ConstraintWeighting(mean_budget=target)
    config = replace(config, objective=Supervised(), weighting=weighting)
    policy = train(config, features=features, mse=mse).trained_policy()
    for part in (features, features[:7], features[:1]):
        assert (seen.budgets[policy.choose(part)] == budget).all()


def test_the_price_is_set_on_a_bounded_number_of_images(monkeypatch, train, seen, config):
    monkeypatch.setattr(policy_training, "CALIBRATION_IMAGES", 100)
    trainer = train(replace(config, steps=30, weighting=ConstraintWeighting(mean_budget=6)))
    trainer.load = lambda images: seen.features[:100][images]
    chosen = trainer.trained_policy().choose(seen.features[:100])
    assert seen.budgets[chosen].mean().item() == pytest.approx(6, rel=0.02)


@pytest.mark.parametrize("name", KINDS[:-1])
def test_gradients_move_the_weights_down_to_the_floor_at_most(train, config, objectives, name):
    weighting = GradientWeighting(efficiency=0.3, step_size=20.0, floor=0.1)
    config = replace(config, steps=40, log_every=1, objective=objectives[name], weighting=weighting)
    rows = train(config).history
    moved = [row["weight_efficiency"] for row in rows]
    assert moved[0] == pytest.approx(0.3)
    assert max(moved) - min(moved) > 0.1
    assert min(moved) >= 0.1 - 1e-6
    assert max(moved) <= 0.9 + 1e-6
    sums = [row["weight_fidelity"] + row["weight_efficiency"] for row in rows]
    assert sums == pytest.approx([1] * 40)


@pytest.mark.parametrize("reference", ["untrained", (-0.5, -0.1)])
@pytest.mark.parametrize("name", KINDS[:-1])
def test_a_hypervolume_scales_the_advantages_and_leaves_the_weights(
    train, config, objectives, weightings, name, reference
):
    # Weights under which training gains fidelity and efficiency over the untrained policy.
    weighting = replace(
        weightings["hypervolume"], every=3, efficiency=0.55, scale=1e-3, reference=reference
    )
    config = replace(config, steps=40, log_every=1, objective=objectives[name], weighting=weighting)
    rows = train(config).history
    scales = [row["advantage_scale"] for row in rows]
    assert scales[:2] == [1, 1]
    assert all(0.5 <= scale <= 2 for scale in scales[2:])
    assert max(scales) > 1
    assert {round(row["weight_efficiency"], 6) for row in rows} == {0.55}


def last_gradients(trainer):
    """The `[2, P]` that a weighting would see in the last step."""
    views = []
    trainer.weighting.update = views.append
    with torch.enable_grad():
        list(trainer.run())
        return views[-1].gradients()


def differences(policy, features, goal):
    """Central differences of `goal(log_policy [n, M])` in each of the policy's parameters."""
    policy, features, slopes = copy.deepcopy(policy).double(), features.double(), []
    for parameter in policy.parameters():
        flat = parameter.data.view(-1)
        for index in range(len(flat)):
            start, values = flat[index].item(), []
            for moved in (start + 1e-5, start - 1e-5):
                flat[index] = moved
                values.append(goal(policy(features).log_softmax(-1)).item())
            flat[index] = start
            slopes.append((values[0] - values[1]) / 2e-5)
    return torch.tensor(slopes)


@pytest.fixture(scope="module")
def tiny(config):
    return replace(config, hidden=3, pooling_queries=1, steps=12, batch=300)


@torch.no_grad()
@pytest.mark.parametrize("baseline", ["policy", "uniform"])
def test_gradients_are_those_of_each_objective_alone(trainer_of, seen, tiny, baseline):
    kl = KL(coefficient=Annealed(start=0.3, end=0.1))
    objective = DeterministicGroup(group_baseline=baseline, kl=kl)
    trainer = trainer_of(replace(tiny, objective=objective))
    found = last_gradients(trainer)
    for row, rewards in zip(
        found, (trainer.rewards.fidelity, trainer.rewards.efficiency), strict=True
    ):
        centred = rewards - rewards.mean(-1, keepdim=True)
        goals = {
            "policy": lambda log_policy, r=rewards: (log_policy.exp() * r).sum(-1).mean(),
            "uniform": lambda log_policy, c=centred: (log_policy * c).mean(),
        }
        expected = differences(trainer.policy, seen.features, goals[baseline])
        torch.testing.assert_close(row, expected, atol=1e-5 * expected.norm().item(), rtol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize(
    ("objective", "share"),
    # A draw's reward is part of its own group's mean, which shortens the gradient.
    [
        (SampledGroup(draws=4, normalise_advantage=False), 3 / 4),
        (Reinforce(), 1),
        (PPO(updates_per_batch=1), 1),
    ],
    ids=["sampled", "reinforce", "ppo"],
)
def test_gradients_of_drawn_budgets_are_those_of_the_expected_reward(
    trainer_of, seen, tiny, objective, share
):
    copies = 40  # so that the draws' mean is close to their expectation
    trainer = trainer_of(
        replace(tiny, objective=objective, steps=3, batch=300 * copies),
        features=seen.features.repeat(copies, 1, 1),
        mse=seen.mse.repeat(copies, 1),
    )
    found = last_gradients(trainer)
    for row, rewards in zip(
        found, (trainer.rewards.fidelity[:300], trainer.rewards.efficiency), strict=True
    ):
        expected = share * differences(
            trainer.policy, seen.features, lambda logs, r=rewards: (logs.exp() * r).sum(-1).mean()
        )
        assert (row - expected).norm() < 0.1 * expected.norm()
