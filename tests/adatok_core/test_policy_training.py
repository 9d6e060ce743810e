import math
from dataclasses import replace

import pytest
import torch

from adatok_core.config import (
    OFF,
    Annealed,
    ConstraintWeighting,
    FixedWeighting,
    Objective,
    PolicyConfig,
)
from adatok_core.policy_training import build_policy, train_policy
from adatok_core.rewards import RewardTable
from adatok_core.training import DivergedError, batch_indices

BUDGETS = torch.tensor([2.0, 4.0, 8.0, 16.0])
KL = Annealed(start=0.3, end=0.005)
OBJECTIVES = {
    "uniform_k3": Objective(group_baseline="uniform", kl_to_uniform=KL, entropy=OFF),
    "uniform_k3_std": Objective(
        group_baseline="uniform", normalise_advantage=True, kl_to_uniform=KL, entropy=OFF
    ),
    "policy_entropy": Objective(),
}
CONFIG = PolicyConfig(
    candidates=(2, 4, 8, 16),
    hidden=16,
    steps=250,
    batch=128,
    learning_rate=1e-2,
    weighting=FixedWeighting(efficiency=0.3),
)
BRIEF = replace(CONFIG, steps=7, log_every=3)


def scenes(*, count=300, seed=0):
    """Images whose first feature tells, with noise, how slowly their distortion falls."""
    generator = torch.Generator().manual_seed(seed)
    complexity = torch.rand(count, generator=generator)
    latents = torch.randn(count, 3, 8, generator=generator)
    latents[:, :, 0] += 6 * (complexity[:, None] - 0.5)
    rate = 1 + 8 * complexity[:, None]
    return complexity, latents, (0.2 + complexity[:, None]) * torch.exp(-BUDGETS / rate)


COMPLEXITY, LATENTS, DISTORTION = scenes()


def train(config, **changes):
    tables = {"latents": LATENTS, "distortion": DISTORTION, "max_tokens": 16, **changes}
    return train_policy(config, **tables)


def weights(trained):
    return torch.cat([p.detach().flatten() for p in trained.policy.parameters()])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_complex_images_receive_more_tokens(name):
    trained = train(replace(CONFIG, objective=OBJECTIVES[name]))
    complexity, latents, distortion = scenes(seed=1)  # images it has not seen
    with torch.no_grad():
        chosen = trained.policy.choose(latents)
    spent = BUDGETS[chosen]
    simple, involved = spent[complexity < 1 / 3].mean(), spent[complexity > 2 / 3].mean()
    assert involved > simple + 3
    assert len(chosen.unique()) >= 3
    assert max(trained.history[-1][f"share_{b}"] for b in CONFIG.candidates) < 0.8
    # It earns more than any budget that is the same for all.
    rewards = RewardTable.of(distortion, CONFIG.candidates, max_tokens=16)
    everyone = torch.arange(len(latents))
    table = rewards.scalar(everyone, torch.tensor([0.7, 0.3]))
    assert table[everyone, chosen].mean() > table.mean(0).max() + 0.01


def test_a_uniform_group_without_a_penalty_ends_in_one_budget_for_all():
    objective = Objective(group_baseline="uniform", entropy=OFF)
    last = train(replace(CONFIG, objective=objective, steps=120)).history[-1]
    assert max(last[f"share_{b}"] for b in CONFIG.candidates) == 1
    assert last["entropy"] < 0.05


@pytest.mark.parametrize("target", [4.0, 10.0])
def test_a_constraint_brings_the_mean_budget_to_its_target(target):
    weighting = ConstraintWeighting(mean_budget=target, step_size=0.3)
    trained = train(replace(CONFIG, weighting=weighting, steps=400))
    assert trained.history[-1]["mean_budget"] == pytest.approx(target, rel=0.05)
    with torch.no_grad():
        chosen = BUDGETS[trained.policy.choose(LATENTS)]
    assert chosen.mean().item() == pytest.approx(target, rel=0.1)
    assert len(chosen.unique()) >= 2


def test_a_constraint_brings_the_quality_drop_to_its_target():
    weighting = ConstraintWeighting(quality_drop=0.2, step_size=0.3)
    trained = train(replace(CONFIG, weighting=weighting, steps=400))
    fidelity = RewardTable.of(DISTORTION, CONFIG.candidates, max_tokens=16).fidelity
    with torch.no_grad():
        pi = trained.policy(LATENTS).softmax(-1)
    drop = (fidelity[:, -1] - (pi * fidelity).sum(-1)).mean()
    assert drop.item() == pytest.approx(0.2, abs=0.03)


def test_weights_of_the_rewards_decide_how_much_is_spent():
    spent = [
        train(replace(CONFIG, steps=60, weighting=FixedWeighting(efficiency=e))).history[-1]
        for e in (0.1, 0.3, 0.7)
    ]
    means = [row["mean_budget"] for row in spent]
    assert means[0] > means[1] + 1 > means[2] + 2


def test_training_is_a_pure_function_of_its_seed():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = train(BRIEF)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(6)
    again = train(BRIEF)
    assert torch.equal(weights(first), weights(again))
    assert first.history == again.history
    other = train(replace(BRIEF, seed=1))
    assert not torch.allclose(weights(first), weights(other))


def test_initial_weights_depend_on_the_seed_alone():
    a, b, c = (
        build_policy(replace(BRIEF, seed=seed, steps=steps), latents=3, width=8).state_dict()
        for seed, steps in ((0, 7), (0, 9), (1, 7))
    )
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["queries"], c["queries"])
    assert a["queries"].shape == (4, 8)
    assert a["hidden.weight"].shape == (16, 32)
    assert a["logits.weight"].shape == (4, 16)


def test_a_change_of_any_knob_changes_the_result():
    variants = [
        {},
        {"learning_rate": 5e-3},
        {"batch": 64},
        {"steps": 8},
        {"objective": Objective(updates_per_batch=3)},
        {"objective": Objective(updates_per_batch=3, clip=0.01)},
        {"objective": Objective(normalise_advantage=True)},
        {"objective": Objective(entropy=Annealed(start=0.3, end=0.1))},
        {"objective": Objective(kl_to_uniform=KL)},
        {"objective": OBJECTIVES["uniform_k3"]},
        {"weighting": FixedWeighting(efficiency=0.5)},
        {"weighting": ConstraintWeighting(mean_budget=4)},
        {"weighting": ConstraintWeighting(mean_budget=4, step_size=1.0)},
    ]
    # A high rate, so that three updates leave the clip's interval.
    config = replace(BRIEF, learning_rate=5e-2)
    ends = [weights(train(replace(config, **variant))) for variant in variants]
    for i, a in enumerate(ends):
        for j, b in enumerate(ends[:i]):
            assert (a - b).abs().max() > 1e-5, (variants[i], variants[j])


def test_the_trajectory_is_logged_up_to_the_last_step():
    history = train(BRIEF).history
    assert [row["step"] for row in history] == [3, 6, 7]
    for row in history:
        assert row.keys() == {
            "step",
            "objective",
            "mean_budget",
            "entropy",
            "kl_to_uniform",
            "weight_fidelity",
            "weight_efficiency",
            *(f"share_{b}" for b in CONFIG.candidates),
        }
        assert all(math.isfinite(value) for value in row.values())
        assert sum(row[f"share_{b}"] for b in CONFIG.candidates) == pytest.approx(1)
        assert row["entropy"] + row["kl_to_uniform"] == pytest.approx(math.log(4))
        assert (row["weight_fidelity"], row["weight_efficiency"]) == pytest.approx((0.7, 0.3))


def test_the_first_row_is_the_uniform_policy():
    row = train(replace(BRIEF, steps=1)).history[0]
    assert row["mean_budget"] == pytest.approx(7.5)
    assert row["entropy"] == pytest.approx(math.log(4))
    assert row["kl_to_uniform"] == pytest.approx(0, abs=1e-6)


def test_a_constraint_moves_the_logged_weights():
    config = replace(BRIEF, log_every=1, weighting=ConstraintWeighting(mean_budget=3))
    logged = [row["weight_efficiency"] for row in train(config).history]
    assert logged[0] == 0.5
    assert logged == sorted(set(logged))


@pytest.mark.parametrize(("count", "batch"), [(5, 5), (300, 128)])
def test_batches_follow_the_seed_and_never_exceed_the_images(monkeypatch, count, batch):
    drawn = []

    def spy(step, **options):
        drawn.append((step, options))
        return batch_indices(step, **options)

    monkeypatch.setattr("adatok_core.policy_training.batch_indices", spy)
    train(replace(BRIEF, seed=4), latents=LATENTS[:count], distortion=DISTORTION[:count])
    options = {"count": count, "batch": batch, "seed": 4}
    assert drawn == [(step, options) for step in range(7)]


def test_the_learning_rate_falls_linearly_to_zero(monkeypatch):
    rates = []
    update = torch.optim.AdamW.step

    def spy(self, *arguments):
        rates.append(self.param_groups[0]["lr"])
        return update(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    train(replace(BRIEF, steps=4))
    assert rates == pytest.approx([1e-2, 0.75e-2, 0.5e-2, 0.25e-2])


def test_stored_half_precision_latents_are_read():
    half, full = (train(BRIEF, latents=t) for t in (LATENTS.half(), LATENTS.half().float()))
    assert torch.equal(weights(half), weights(full))


def test_the_policy_is_returned_for_inference():
    trained = train(BRIEF)
    assert not trained.policy.training
    assert trained.policy.choose(LATENTS[:1]).shape == (1,)


def test_a_tokenizer_that_does_not_use_its_tokens_is_refused():
    with pytest.raises(ValueError, match="distortion does not fall"):
        train(BRIEF, distortion=torch.ones(300, 4))


def test_divergence_is_an_error_that_names_the_step():
    with pytest.raises(DivergedError, match=r"step 2\b"):
        train(replace(BRIEF, learning_rate=1e38))
    latents = LATENTS.clone()
    latents[:] = torch.nan
    with pytest.raises(DivergedError, match=r"step 1\b"):
        train(BRIEF, latents=latents)
