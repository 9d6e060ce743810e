import math
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.config import KL, OFF, PPO, Annealed, DeterministicGroup, Reinforce, SampledGroup
from adatok_core.objectives import Batch, build_objective, entropy, k3, uniform_log_policy

deterministic = settings(deadline=None, derandomize=True, max_examples=50)
ANNEALED = Annealed(start=0.4, end=0.1)
UNIFORM = DeterministicGroup(group_baseline="uniform", entropy=OFF)
POLICY = DeterministicGroup(group_baseline="policy", entropy=OFF)
PLAIN = {
    "uniform": UNIFORM,
    "uniform_std": replace(UNIFORM, normalise_advantage=True),
    "policy": POLICY,
    "policy_std": replace(POLICY, normalise_advantage=True),
    "sampled": SampledGroup(normalise_advantage=False, draws=6, entropy=OFF),
    "sampled_std": SampledGroup(normalise_advantage=True, draws=6, entropy=OFF),
    "reinforce": Reinforce(entropy=OFF),
    "ppo": PPO(entropy=OFF),
}
CLIPPED = [name for name in PLAIN if name != "reinforce"]
EXTRAS = {
    "plain": {},
    "kl": {"kl": KL(coefficient=ANNEALED)},
    "entropy": {"entropy": ANNEALED},
    "both": {"kl": KL(coefficient=ANNEALED), "entropy": ANNEALED},
}


def normal(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def batch_of(config, logits, rewards, *, seed=0):
    """A batch whose old policy is that of `logits`; a baseline where the objective has one."""
    old = logits.detach().log_softmax(-1)
    baselines = {"reinforce": torch.tensor(0.3), "ppo": normal(3, len(rewards))}
    return Batch(
        rewards=rewards,
        old_log_policy=old,
        reference_log_policy=normal(2, *logits.shape).log_softmax(-1),
        actions=build_objective(config).draw(old, torch.Generator().manual_seed(seed)),
        baseline=baselines.get(config.kind),
    )


def objective(config, logits, batch, *, progress=0.5, scale=1.0):
    return build_objective(config).goal(
        logits.log_softmax(-1), batch, progress=progress, advantage_scale=scale
    )


def gradient(config, logits, batch, **options):
    logits = logits.detach().clone().requires_grad_()
    objective(config, logits, batch, **options).backward()
    return logits.grad


def case(config, *, moved=0.0):
    """Logits `[3, 4]` and a batch; the old policy is `moved` away."""
    logits, rewards = normal(0, 2, 3, 4)
    return logits, batch_of(config, logits + moved * normal(1, 3, 4), rewards)


@pytest.mark.parametrize("moved", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("name", PLAIN)
def test_gradients_equal_finite_differences(name, extra, moved):
    config = replace(PLAIN[name], **EXTRAS[extra])
    logits, batch = case(config, moved=moved)
    assert torch.autograd.gradcheck(
        lambda x: objective(config, x, batch), logits.requires_grad_(), eps=1e-7
    )


@deterministic
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_the_policy_weighted_gradient_is_that_of_the_expected_reward(seed, sharpness):
    logits, rewards = normal(seed, 2, 3, 4)
    logits = sharpness * logits
    pi = logits.softmax(-1)
    expected = pi * (rewards - (pi * rewards).sum(-1, keepdim=True)) / len(logits)
    actual = gradient(POLICY, logits, batch_of(POLICY, logits, rewards))
    torch.testing.assert_close(actual, expected)


@deterministic
@given(st.integers(0, 1000), st.floats(0, 10), st.booleans())
def test_the_uniform_gradient_does_not_depend_on_the_policy(seed, sharpness, normalise):
    logits, rewards = normal(seed, 2, 3, 4)
    logits = sharpness * logits
    config = replace(UNIFORM, normalise_advantage=normalise)
    advantages = rewards - rewards.mean(-1, keepdim=True)
    if normalise:
        advantages /= rewards.std(-1, keepdim=True, correction=0)
    actual = gradient(config, logits, batch_of(config, logits, rewards))
    torch.testing.assert_close(actual, advantages / 4 / len(logits), rtol=1e-4, atol=1e-8)


def test_the_sampled_gradient_is_that_of_the_draws():
    logits, rewards = normal(0, 2, 1, 3)
    batch = replace(
        batch_of(PLAIN["sampled"], logits, rewards), actions=torch.tensor([[0, 0, 2, 0]])
    )
    drawn = rewards[0, [0, 0, 2, 0]]
    for normalise in (False, True):
        advantages = drawn - drawn.mean()
        if normalise:
            advantages = advantages / (advantages.square().mean().sqrt() + 1e-6)
        score = torch.eye(3, dtype=torch.float64)[[0, 0, 2, 0]] - logits.softmax(-1)
        expected = (advantages[:, None] * score).mean(0, keepdim=True)
        config = SampledGroup(draws=4, normalise_advantage=normalise, entropy=OFF)
        torch.testing.assert_close(gradient(config, logits, batch), expected)


@pytest.mark.parametrize("name", ["reinforce", "ppo"])
def test_the_gradient_of_one_draw_is_its_advantage_times_its_score(name):
    logits, batch = case(PLAIN[name])
    rewards = batch.rewards.gather(-1, batch.actions)
    advantages = rewards - batch.baseline.reshape(-1, 1)
    score = torch.nn.functional.one_hot(batch.actions[:, 0], 4) - logits.softmax(-1)
    torch.testing.assert_close(gradient(PLAIN[name], logits, batch), advantages * score / 3)


def test_reinforce_is_the_ratio_form_where_the_ratio_is_one():
    logits, batch = case(PLAIN["reinforce"])
    ratio_form = gradient(PLAIN["ppo"], logits, batch)
    torch.testing.assert_close(gradient(PLAIN["reinforce"], logits, batch), ratio_form)


@pytest.mark.parametrize("clip", [0.2, 0.3])
@pytest.mark.parametrize("name", CLIPPED)
def test_nothing_is_gained_beyond_the_clip(name, clip):
    config = replace(PLAIN[name], clip=clip)
    old = torch.full((1, 4), 0.25, dtype=torch.float64).log()
    # Good and too probable, bad and too improbable: nothing to gain. The other two pull back.
    ratios = torch.tensor([[1.5, 0.5, 1.5, 0.5]], dtype=torch.float64)
    rewards = torch.tensor([[1.0, -1.0, -1.0, 1.0]], dtype=torch.float64)
    batch = Batch(
        rewards=rewards,
        old_log_policy=old,
        reference_log_policy=old,
        actions=None if config.kind == "deterministic_group" else torch.arange(4)[None],
        baseline=torch.zeros(1) if config.kind == "ppo" else None,
    )
    log_policy = (old + ratios.log()).requires_grad_()
    value = build_objective(config).goal(log_policy, batch, progress=0.0)
    value.backward()
    expected = torch.tensor([[0.0, 0.0, -1.5, 0.5]], dtype=torch.float64) / 4
    torch.testing.assert_close(log_policy.grad, expected, rtol=1e-5, atol=0)
    assert value.item() == pytest.approx(((1 + clip) - (1 - clip) - 1.5 + 0.5) / 4, rel=1e-5)


@pytest.mark.parametrize("name", CLIPPED)
def test_the_clip_matters_only_beyond_its_interval(name):
    tight, loose = (replace(PLAIN[name], clip=clip) for clip in (0.2, 0.9))
    for moved, binds in ((0.0, False), (0.05, False), (1.0, True)):
        logits, batch = case(tight, moved=moved)
        a, b = (gradient(config, logits, batch) for config in (tight, loose))
        assert torch.allclose(a, b) is not binds


# Options of the training loop, and of `draw`.
ELSEWHERE = {"kind", "draws", "updates_per_batch", "baseline_decay", "value_weight"}
ANOTHER = {
    "group_baseline": "uniform",
    "clip": 0.9,
    "kl": KL(coefficient=ANNEALED),
    "entropy": ANNEALED,
}


@pytest.mark.parametrize("kind", [DeterministicGroup, SampledGroup, Reinforce, PPO])
def test_every_option_changes_the_gradient(kind):
    config = kind()
    for option in {field.name for field in fields(config)} - ELSEWHERE:
        if option == "normalise_advantage":
            changed = replace(config, normalise_advantage=not config.normalise_advantage)
        else:
            changed = replace(config, **{option: ANOTHER[option]})
        logits, batch = case(config, moved=1.0)
        a, b = (gradient(c, logits, batch) for c in (config, changed))
        assert (a - b).abs().max() > 1e-3, option


@pytest.mark.parametrize("name", PLAIN)
def test_bonus_and_penalty_follow_their_schedules(name):
    config = PLAIN[name]
    logits, batch = case(config)
    log_policy = logits.log_softmax(-1)
    divergences = k3(log_policy, batch.reference_log_policy)
    if batch.actions is not None:  # over the draws, as GRPO estimates it
        divergences = divergences.gather(-1, batch.actions)

    def value(progress, **options):
        return objective(replace(config, **options), logits, batch, progress=progress).item()

    plain = value(0.0)
    assert value(1.0) == plain
    for progress, coefficient in {0.0: 0.4, 0.5: 0.2, 1.0: 0.1}.items():
        bonus = coefficient * entropy(log_policy).mean().item()
        penalty = coefficient * divergences.mean().item()
        assert value(progress, entropy=ANNEALED) == pytest.approx(plain + bonus)
        assert value(progress, kl=KL(coefficient=ANNEALED)) == pytest.approx(plain - penalty)


@pytest.mark.parametrize("name", PLAIN)
def test_the_reference_holds_only_a_penalised_policy(name):
    config = PLAIN[name]
    logits, batch = case(config)
    uniform = replace(batch, reference_log_policy=uniform_log_policy(logits))
    held = replace(config, kl=KL(coefficient=ANNEALED))
    assert torch.equal(gradient(config, logits, batch), gradient(config, logits, uniform))
    assert not torch.allclose(gradient(held, logits, batch), gradient(held, logits, uniform))


@pytest.mark.parametrize("name", PLAIN)
def test_a_scale_multiplies_the_advantages_only(name):
    config, extra = PLAIN[name], EXTRAS["both"]
    logits, batch = case(config, moved=0.05)
    plain = gradient(config, logits, batch)
    full = gradient(replace(config, **extra), logits, batch)
    scaled = gradient(replace(config, **extra), logits, batch, scale=1.7)
    torch.testing.assert_close(scaled - full, 0.7 * plain)


@pytest.mark.parametrize("name", ["uniform", "policy", "sampled"])
def test_a_scale_of_the_rewards_is_cancelled_by_normalisation(name):
    config = PLAIN[name]
    logits, batch = case(config)
    louder = replace(batch, rewards=1.7 * batch.rewards)
    plain = gradient(config, logits, batch)
    torch.testing.assert_close(gradient(config, logits, louder), 1.7 * plain)
    normalised = PLAIN[f"{name}_std"]
    plain = gradient(normalised, logits, batch)
    cancelled = gradient(normalised, logits, louder)
    torch.testing.assert_close(cancelled, plain, rtol=1e-4, atol=1e-8)
    kept = gradient(normalised, logits, batch, scale=1.7)
    torch.testing.assert_close(kept, 1.7 * plain)


@pytest.mark.parametrize("name", [n for n in PLAIN if n not in ("reinforce", "ppo")])
def test_equal_rewards_teach_nothing(name):
    logits = normal(0, 3, 4).float()
    batch = batch_of(PLAIN[name], logits, torch.full((3, 4), 0.1))
    assert gradient(PLAIN[name], logits, batch).abs().max() < 1e-9


@pytest.mark.parametrize("name", PLAIN)
def test_no_gradient_flows_into_the_batch(name):
    config = replace(PLAIN[name], **EXTRAS["both"])
    logits, batch = case(config)
    old, reference, values = (normal(i, 3, 4).requires_grad_() for i in range(3))
    batch = replace(
        batch,
        old_log_policy=old.log_softmax(-1),
        reference_log_policy=reference.log_softmax(-1),
        baseline=values[:, 0] if config.kind == "ppo" else batch.baseline,
    )
    objective(config, logits.requires_grad_(), batch).backward()
    assert old.grad is None
    assert reference.grad is None
    assert values.grad is None
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize("name", PLAIN)
def test_a_policy_that_is_certain_has_a_finite_gradient(name):
    config = replace(PLAIN[name], entropy=ANNEALED)
    logits, rewards = (200 * normal(0, 3, 4)).float(), normal(1, 3, 4).float()
    log_policy = logits.log_softmax(-1)
    assert k3(log_policy, uniform_log_policy(logits)).isinf().any()  # k3 is of no use here
    assert gradient(config, logits, batch_of(config, logits, rewards)).isfinite().all()


@pytest.mark.parametrize("name", PLAIN)
def test_the_objective_is_a_mean_over_images(name):
    config = replace(PLAIN[name], **EXTRAS["both"])
    logits, batch = case(config, moved=0.5)

    def part(i):
        def of_image(tensor):
            return tensor if tensor is None or tensor.ndim == 0 else tensor[[i]]

        image = Batch(**{f.name: of_image(getattr(batch, f.name)) for f in fields(batch)})
        return objective(config, logits[[i]], image)

    mean = torch.stack([part(i) for i in range(3)]).mean()
    torch.testing.assert_close(objective(config, logits, batch), mean)


def test_the_deterministic_group_climbs_to_the_best_budget():
    logits, rewards = torch.zeros(1, 4, dtype=torch.float64), normal(1, 1, 4)
    for _ in range(2000):
        logits = logits + gradient(POLICY, logits, batch_of(POLICY, logits, rewards))
    assert logits.argmax() == rewards.argmax()
    assert entropy(logits.log_softmax(-1)).item() < 0.1 * math.log(4)
