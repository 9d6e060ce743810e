import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.objectives import entropy, k3, uniform_log_policy

deterministic = settings(deadline=None, derandomize=True, max_examples=50)


def policies(seed, sharpness=1.0):
    """Log-probabilities of two policies `[3, 4]` in float64."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    return (sharpness * logits).log_softmax(-1)


def kl(log_policy, reference):
    return (log_policy.exp() * (log_policy - reference)).sum(-1)


def test_entropy_of_known_policies():
    pi = torch.tensor([[0.25] * 4, [0.5, 0.5, 1e-30, 1e-30], [1 - 3e-30, 1e-30, 1e-30, 1e-30]])
    assert entropy(pi.log()).tolist() == pytest.approx([math.log(4), math.log(2), 0], abs=1e-6)


@deterministic
@given(st.integers(0, 1000), st.floats(0, 5))
def test_entropy_is_what_the_uniform_policy_exceeds_by_the_divergence(seed, sharpness):
    log_policy = policies(seed, sharpness)[0]
    divergence = kl(log_policy, uniform_log_policy(log_policy))
    torch.testing.assert_close(entropy(log_policy), math.log(4) - divergence)


def test_the_uniform_policy():
    like = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    uniform = uniform_log_policy(like)
    torch.testing.assert_close(uniform.exp(), torch.full((2, 5), 0.2, dtype=torch.float64))
    assert not uniform.requires_grad


def test_k3_of_a_known_policy():
    pi = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
    reference = torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.float64)
    expected = [0.5 - math.log(0.5) - 1, 2 - math.log(2) - 1, 0]
    assert k3(pi.log(), reference.log()).tolist()[0] == pytest.approx(expected)


@deterministic
@given(st.integers(0, 1000), st.floats(0.1, 5))
def test_k3_is_zero_only_where_the_policies_agree(seed, sharpness):
    log_policy, reference = policies(seed, sharpness)
    assert (k3(log_policy, reference) > 0).all()
    assert (k3(log_policy, log_policy) == 0).all()


def test_k3_of_almost_equal_policies_keeps_its_digits():
    log_policy = torch.tensor([[-1.0]])
    reference = log_policy + 2**-12  # a number of single precision
    assert k3(log_policy, reference).item() == pytest.approx(2**-24 / 2, rel=1e-2)


@deterministic
@given(st.integers(0, 1000))
def test_k3_has_the_divergence_as_its_expectation(seed):
    log_policy, reference = policies(seed)
    expectation = (log_policy.exp() * k3(log_policy, reference)).sum(-1)
    torch.testing.assert_close(expectation, kl(log_policy, reference))


def test_k3_of_draws_averages_to_the_divergence():
    log_policy, reference = policies(0)
    generator = torch.Generator().manual_seed(0)
    actions = torch.multinomial(log_policy.exp(), 50_000, replacement=True, generator=generator)
    drawn = k3(log_policy, reference).gather(-1, actions)
    error = drawn.std(-1) / 50_000**0.5
    assert ((drawn.mean(-1) - kl(log_policy, reference)).abs() < 4 * error).all()
