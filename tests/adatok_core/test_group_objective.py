import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.config import OFF, Annealed, Objective
from adatok_core.group_objective import (
    entropy,
    group_advantages,
    group_objective,
    k3_to_uniform,
)

deterministic = settings(deadline=None, derandomize=True, max_examples=50)
KL = Annealed(start=0.3, end=0.005)
UNIFORM = Objective(group_baseline="uniform", entropy=OFF)
POLICY = Objective(group_baseline="policy", entropy=OFF)
OBJECTIVES = {
    "uniform_k3": Objective(group_baseline="uniform", kl_to_uniform=KL, entropy=OFF),
    "uniform_k3_std": Objective(
        group_baseline="uniform", normalise_advantage=True, kl_to_uniform=KL, entropy=OFF
    ),
    "policy_entropy": Objective(),
    "policy_std": Objective(normalise_advantage=True, kl_to_uniform=KL),
}


def table(seed, *, batch=3, budgets=4):
    """Logits and rewards `[B, M]` in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, batch, budgets, generator=generator, dtype=torch.float64)


def gradient(config, logits, rewards, *, old=None, progress=0.5):
    """Gradient of the objective on the logits; at the old policy unless `old` logits are given."""
    logits = logits.clone().requires_grad_()
    log_policy = logits.log_softmax(-1)
    before = log_policy if old is None else old.log_softmax(-1)
    group_objective(log_policy, before, rewards, config=config, progress=progress).backward()
    return logits.grad


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("moved", [0.0, 0.05, 0.5])
def test_gradients_equal_finite_differences(name, moved):
    logits, rewards = table(0)
    # After an update the ratio has left 1, for the last case beyond the clip.
    old = (logits + moved * table(1)[0]).log_softmax(-1)

    def objective(x):
        return group_objective(
            x.log_softmax(-1), old, rewards, config=OBJECTIVES[name], progress=0.5
        )

    assert torch.autograd.gradcheck(objective, logits.clone().requires_grad_(), eps=1e-7)


@deterministic
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_the_policy_weighted_gradient_is_that_of_the_expected_reward(seed, sharpness):
    logits, rewards = table(seed)
    pi = (sharpness * logits).softmax(-1)
    expected = pi * (rewards - (pi * rewards).sum(-1, keepdim=True)) / len(logits)
    torch.testing.assert_close(gradient(POLICY, sharpness * logits, rewards), expected)


@deterministic
@given(st.integers(0, 1000), st.floats(0, 10), st.booleans())
def test_the_uniform_gradient_does_not_depend_on_the_policy(seed, sharpness, normalise):
    logits, rewards = table(seed)
    config = Objective(group_baseline="uniform", normalise_advantage=normalise, entropy=OFF)
    advantages = rewards - rewards.mean(-1, keepdim=True)
    if normalise:
        advantages /= rewards.std(-1, keepdim=True, correction=0)
    expected = advantages / 4 / len(logits)
    actual = gradient(config, sharpness * logits, rewards)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("baseline", ["uniform", "policy"])
def test_the_clip_binds_only_where_the_ratio_has_left_the_interval(baseline):
    old = torch.full((1, 4), 0.25, dtype=torch.float64).log()
    ratios = torch.tensor([[1.5, 0.5, 1.5, 0.5]], dtype=torch.float64)
    # Good and too probable, bad and too improbable: nothing to gain. The other two pull back.
    rewards = torch.tensor([[1.0, -1.0, -1.0, 1.0]], dtype=torch.float64)
    log_policy = (old + ratios.log()).requires_grad_()
    config = Objective(group_baseline=baseline, clip=0.2, entropy=OFF)
    value = group_objective(log_policy, old, rewards, config=config, progress=0.0)
    value.backward()
    expected = torch.tensor([[0.0, 0.0, -1.5, 0.5]], dtype=torch.float64) / 4
    torch.testing.assert_close(log_policy.grad, expected)
    assert value.item() == pytest.approx((1.2 - 0.8 - 1.5 + 0.5) / 4)


def test_the_clip_matters_only_beyond_its_interval():
    logits, rewards = table(0)
    near, far = logits + 0.05 * table(1)[0], logits + 2 * table(1)[0]
    tight, loose = (Objective(clip=clip, entropy=OFF) for clip in (0.2, 0.9))
    for old, binds in ((None, False), (near, False), (far, True)):
        a, b = (gradient(config, logits, rewards, old=old) for config in (tight, loose))
        assert torch.allclose(a, b) is not binds


def test_the_old_policy_receives_no_gradient():
    logits, rewards = table(0)
    old = table(1)[0].requires_grad_()
    new = logits.requires_grad_()
    group_objective(
        new.log_softmax(-1), old.log_softmax(-1), rewards, config=Objective(), progress=0.0
    ).backward()
    assert old.grad is None
    assert new.grad.abs().sum() > 0


@deterministic
@given(st.integers(0, 1000), st.floats(0, 5))
def test_k3_is_positive_but_at_the_uniform_policy(seed, sharpness):
    log_policy = (sharpness * table(seed)[0]).log_softmax(-1)
    assert (k3_to_uniform(log_policy) >= 0).all()
    flat = torch.zeros(3, 4, dtype=torch.float64).log_softmax(-1)
    torch.testing.assert_close(k3_to_uniform(flat), torch.zeros(3, dtype=torch.float64))
    if sharpness > 0.1:
        assert (k3_to_uniform(log_policy) > 1e-6).all()


def test_k3_of_a_known_policy():
    pi = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
    q = [2 / 3, 4 / 3, 4 / 3]
    expected = sum(x - math.log(x) - 1 for x in q) / 3
    assert k3_to_uniform(pi.log()).tolist() == pytest.approx([expected])


def test_entropy_of_known_policies():
    pi = torch.tensor([[0.25] * 4, [0.5, 0.5, 1e-30, 1e-30], [1 - 3e-30, 1e-30, 1e-30, 1e-30]])
    assert entropy(pi.log()).tolist() == pytest.approx([math.log(4), math.log(2), 0], abs=1e-6)


@deterministic
@given(st.integers(0, 1000), st.sampled_from(["uniform", "policy"]), st.booleans())
def test_advantages_cancel_under_their_baseline(seed, baseline, normalise):
    logits, rewards = table(seed)
    log_policy = logits.log_softmax(-1)
    config = Objective(group_baseline=baseline, normalise_advantage=normalise)
    advantages = group_advantages(rewards, log_policy, config)
    shares = log_policy.exp() if baseline == "policy" else torch.full_like(rewards, 0.25)
    torch.testing.assert_close((shares * advantages).sum(-1), torch.zeros_like(rewards[:, 0]))
    if normalise:
        deviation = (shares * advantages.square()).sum(-1).sqrt()
        torch.testing.assert_close(deviation, torch.ones_like(deviation), rtol=1e-4, atol=0)
        scaled = group_advantages(rewards * 7 + 3, log_policy, config)
        torch.testing.assert_close(scaled, advantages, rtol=1e-4, atol=1e-6)
    else:
        torch.testing.assert_close(
            group_advantages(rewards * 7 + 3, log_policy, config), advantages * 7
        )


@pytest.mark.parametrize("baseline", ["uniform", "policy"])
def test_advantages_are_constants_to_the_gradient(baseline):
    logits, rewards = table(0)
    log_policy = logits.requires_grad_().log_softmax(-1)
    config = Objective(group_baseline=baseline, normalise_advantage=True)
    assert not group_advantages(rewards, log_policy, config).requires_grad


@pytest.mark.parametrize("baseline", ["uniform", "policy"])
@pytest.mark.parametrize("normalise", [False, True])
def test_equal_rewards_give_no_advantage(baseline, normalise):
    config = Objective(group_baseline=baseline, normalise_advantage=normalise, entropy=OFF)
    logits = table(0)[0]
    rewards = torch.full((3, 4), 0.1, dtype=torch.float64)
    advantages = group_advantages(rewards, logits.log_softmax(-1), config)
    torch.testing.assert_close(advantages, torch.zeros_like(rewards), atol=1e-9, rtol=0)
    assert gradient(config, logits, rewards).abs().max() < 1e-9


@pytest.mark.parametrize("name", ["uniform", "policy", "policy_entropy"])
def test_a_policy_that_is_certain_has_a_finite_gradient(name):
    config = {"uniform": UNIFORM, "policy": POLICY, **OBJECTIVES}[name]
    logits, rewards = (200 * table(0)[0]).float(), table(0)[1].float()
    assert k3_to_uniform(logits.log_softmax(-1)).isinf().any()  # k3 is of no use here
    assert gradient(config, logits, rewards).isfinite().all()


def test_bonus_and_penalty_follow_their_schedules():
    logits, rewards = table(0)
    log_policy = logits.log_softmax(-1)

    def value(progress, **options):
        config = Objective(**{"entropy": OFF, **options})
        objective = group_objective(
            log_policy, log_policy, rewards, config=config, progress=progress
        )
        return objective.item()

    plain = value(0.0)
    assert value(1.0) == plain
    coefficients = {0.0: 0.4, 0.5: 0.2, 1.0: 0.1}
    schedule = Annealed(start=0.4, end=0.1)
    for progress, coefficient in coefficients.items():
        bonus = coefficient * entropy(log_policy).mean().item()
        penalty = coefficient * k3_to_uniform(log_policy).mean().item()
        assert value(progress, entropy=schedule) == pytest.approx(plain + bonus)
        assert value(progress, kl_to_uniform=schedule) == pytest.approx(plain - penalty)


def test_the_objective_is_a_mean_over_images():
    logits, rewards = table(0)
    log_policy = logits.log_softmax(-1)
    whole, *parts = (
        group_objective(log_policy[i], log_policy[i], rewards[i], config=Objective(), progress=0)
        for i in (slice(None), [0], [1], [2])
    )
    torch.testing.assert_close(whole, torch.stack(parts).mean())


def test_baseline_and_normalisation_are_choices():
    logits, rewards = table(0)
    gradients = [gradient(config, logits, rewards) for config in OBJECTIVES.values()]
    gradients += [gradient(UNIFORM, logits, rewards), gradient(POLICY, logits, rewards)]
    for i, a in enumerate(gradients):
        assert all((a - b).abs().max() > 1e-3 for b in gradients[:i])
