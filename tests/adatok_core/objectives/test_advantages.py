import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.objectives.advantages import baseline_advantages, group_advantages

deterministic = settings(deadline=None, derandomize=True, max_examples=50)


def table(seed):
    """Rewards and shares `[3, 4]` in float64; a row of shares sums to 1."""
    generator = torch.Generator().manual_seed(seed)
    rewards, logits = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    return rewards, logits.softmax(-1)


def test_advantages_of_a_known_group():
    rewards = torch.tensor([[1.0, 2.0, 3.0, 6.0]], dtype=torch.float64)
    uniform = torch.full_like(rewards, 0.25)
    weighted = torch.tensor([[0.5, 0.5, 0.0, 0.0]], dtype=torch.float64)
    assert group_advantages(rewards, uniform, normalise=False).tolist() == [[-2, -1, 0, 3]]
    assert group_advantages(rewards, weighted, normalise=False).tolist() == [[-0.5, 0.5, 1.5, 4.5]]
    # Population deviations: sqrt((4 + 1 + 0 + 9) / 4), and 0.5 under the other weights.
    actual = group_advantages(rewards, uniform, normalise=True).tolist()[0]
    assert actual == pytest.approx([x / 3.5**0.5 for x in (-2, -1, 0, 3)], rel=1e-6)
    actual = group_advantages(rewards, weighted, normalise=True).tolist()[0]
    assert actual == pytest.approx([-1, 1, 3, 9], rel=1e-5)


@deterministic
@given(st.integers(0, 1000), st.booleans())
def test_advantages_cancel_under_their_shares(seed, normalise):
    rewards, shares = table(seed)
    advantages = group_advantages(rewards, shares, normalise=normalise)
    torch.testing.assert_close((shares * advantages).sum(-1), torch.zeros(3, dtype=torch.float64))
    factor = 1 if normalise else 7
    moved = group_advantages(rewards * 7 + 3, shares, normalise=normalise)
    torch.testing.assert_close(moved, factor * advantages, rtol=1e-4, atol=1e-6)
    if normalise:
        deviation = (shares * advantages.square()).sum(-1).sqrt()
        torch.testing.assert_close(deviation, torch.ones_like(deviation), rtol=1e-4, atol=0)


@deterministic
@given(st.floats(-1e6, 1e6, width=32), st.integers(2, 100), st.booleans())
def test_equal_rewards_have_no_advantage(reward, group, normalise):
    # In single precision their mean differs from them, by as much as the deviation's epsilon.
    rewards = torch.full((1, group), reward)
    shares = torch.full_like(rewards, 1 / group)
    advantages = group_advantages(rewards, shares, normalise=normalise)
    assert advantages.tolist() == [[0.0] * group]


def test_a_baseline_is_one_number_or_one_per_image():
    rewards = torch.tensor([[1.0], [2.0]])
    assert baseline_advantages(rewards, torch.tensor(0.5)).tolist() == [[0.5], [1.5]]
    assert baseline_advantages(rewards, torch.tensor([0.5, 4.0])).tolist() == [[0.5], [-2]]


def test_the_critic_is_not_trained_through_its_baseline():
    values = torch.zeros(2, requires_grad=True)
    assert not baseline_advantages(torch.ones(2, 1), values).requires_grad
