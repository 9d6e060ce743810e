"""The gradients of the sampled objectives as estimates of the exact one."""

import pytest
import torch

from adatok_core.config import OFF, PPO, DeterministicGroup, Reinforce, SampledGroup
from adatok_core.objectives import Batch, build_objective

LOGITS = torch.tensor([0.5, -0.3, 0.9, -1.0], dtype=torch.float64)
REWARDS = torch.tensor([0.2, 1.0, -0.4, 0.6], dtype=torch.float64)
PI = LOGITS.softmax(-1)
EXACT = PI * (REWARDS - PI @ REWARDS)


def gradients(config, *, draws, seed=0, baseline=None, offset=0.0):
    """Gradients `[draws, M]` on the logits of `draws` images that are all alike."""
    logits = LOGITS.repeat(draws, 1).requires_grad_()
    log_policy = logits.log_softmax(-1)
    old = log_policy.detach()
    batch = Batch(
        rewards=REWARDS.repeat(draws, 1) + offset,
        old_log_policy=old,
        reference_log_policy=old,
        actions=build_objective(config).draw(old, torch.Generator().manual_seed(seed)),
        baseline=baseline,
    )
    build_objective(config).goal(log_policy, batch, progress=0.0).backward()
    return draws * logits.grad


def assert_mean(samples, expected):
    """The mean of `samples [n, M]` lies within four standard errors of `expected [M]`."""
    error = samples.std(0) / len(samples) ** 0.5
    assert ((samples.mean(0) - expected).abs() < 4 * error).all()


def sampled(group, **options):
    options = {"normalise_advantage": False, "entropy": OFF, **options}
    return SampledGroup(draws=group, **options)


@pytest.mark.parametrize("group", [2, 4, 16])
def test_a_sampled_group_shrinks_the_gradient_by_its_own_share(group):
    samples = gradients(sampled(group), draws=20_000)
    assert_mean(samples, (1 - 1 / group) * EXACT)


def test_the_error_of_a_sampled_group_falls_as_one_over_its_size():
    groups = torch.tensor([4.0, 16.0, 64.0, 256.0])
    errors = torch.stack(
        [
            (gradients(sampled(int(group)), draws=2000) - EXACT).square().sum(-1).mean()
            for group in groups
        ]
    )
    x, y = groups.log() - groups.log().mean(), errors.log()
    slope = ((x * y).sum() / x.square().sum()).item()
    assert slope == pytest.approx(-1, abs=0.1)
    assert (errors[1:] < errors[:-1] / 3).all()


@pytest.mark.parametrize("baseline", ["uniform", "policy"])
def test_the_deterministic_group_has_no_variance(baseline):
    config = DeterministicGroup(group_baseline=baseline, entropy=OFF)
    samples = torch.stack([gradients(config, draws=3, seed=seed)[0] for seed in range(5)])
    assert (samples == samples[0]).all()
    assert not torch.equal(
        gradients(sampled(4), draws=3, seed=0), gradients(sampled(4), draws=3, seed=1)
    )


def test_the_deterministic_group_is_the_limit_of_the_sampled_one():
    exact = gradients(DeterministicGroup(entropy=OFF), draws=1)[0]
    torch.testing.assert_close(exact, EXACT)
    normalised = gradients(DeterministicGroup(normalise_advantage=True, entropy=OFF), draws=1)[0]
    limit = gradients(sampled(200_000, normalise_advantage=True), draws=1)[0]
    torch.testing.assert_close(limit, normalised, rtol=0.05, atol=0.005)


@pytest.mark.parametrize("config", [Reinforce(entropy=OFF), PPO(entropy=OFF)])
def test_one_draw_is_unbiased_and_a_baseline_quietens_it(config):
    def samples(value):
        baseline = torch.tensor(value, dtype=torch.float64)
        if config.kind == "ppo":
            baseline = baseline.expand(20_000)
        return gradients(config, draws=20_000, baseline=baseline, offset=2.0)

    loud = samples(0.0)
    quiet = samples((PI @ REWARDS).item() + 2)
    assert_mean(loud, EXACT)
    assert_mean(quiet, EXACT)
    assert quiet.var(0).sum() < loud.var(0).sum() / 3
