import math

import pytest
import torch

from adatok_core.config import GradientWeighting
from adatok_core.weighting.gradient import Gradient, influence

GRADIENTS = torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]])  # influences 3.5 and 8.75


@pytest.fixture
def weights(view):
    """The weights after some updates by the same gradients."""

    def weights(weighting, gradients, *, updates=1):
        for _ in range(updates):
            weighting.update(view(gradients=gradients))
        return weighting.weights.tolist()

    return weights


def build(**options):
    return Gradient(GradientWeighting(**options))


def test_known_influences():
    # <g_1, g_1> = 5, <g_1, g_2> = -1.5, <g_2, g_2> = 10.25
    assert influence(GRADIENTS).tolist() == [3.5, 8.75]


def test_influences_have_the_units_of_a_squared_gradient():
    assert influence(3 * GRADIENTS).tolist() == pytest.approx([9 * 3.5, 9 * 8.75])


def test_an_influence_predicts_what_a_step_along_all_gradients_gains():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    rewards = torch.rand(2, 6, 3, generator=generator, dtype=torch.float64)
    parameters = torch.randn(4, 3, generator=generator, dtype=torch.float64, requires_grad=True)

    def objectives(parameters):
        policy = (images @ parameters).softmax(-1)
        return (policy * rewards).sum(-1).mean(-1)

    gradients = torch.stack(
        [
            torch.autograd.grad(objective, parameters, retain_graph=True)[0].flatten()
            for objective in objectives(parameters)
        ]
    )
    direction = gradients.sum(0).view_as(parameters)
    step = 1e-4
    with torch.no_grad():
        ahead = objectives(parameters + step * direction)
        behind = objectives(parameters - step * direction)
    gained = (ahead - behind) / (2 * step)
    torch.testing.assert_close(influence(gradients), gained, rtol=1e-6, atol=1e-10)
    assert not torch.isclose(gained[0], gained[1], rtol=0.01)


@pytest.mark.parametrize("start", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("step_size", [0.01, 0.1])
def test_the_update_is_the_published_one_where_the_floor_does_not_bind(start, step_size, weights):
    grown = [(1 - start) * math.exp(step_size * 3.5), start * math.exp(step_size * 8.75)]
    expected = [one / sum(grown) for one in grown]
    after = weights(build(efficiency=start, step_size=step_size), GRADIENTS)
    assert after == pytest.approx(expected, rel=1e-6)
    assert weights(build(efficiency=start, step_size=step_size), GRADIENTS * 0) == pytest.approx(
        [1 - start, start]
    )


def test_updates_follow_each_other(weights):
    twice = weights(build(step_size=0.01), GRADIENTS, updates=2)
    assert twice == pytest.approx(weights(build(step_size=0.02), GRADIENTS), rel=1e-6)


@pytest.mark.parametrize("adverse", [0, 1])
@pytest.mark.parametrize("floor", [0.05, 0.2])
def test_no_weight_dies(adverse, floor, weights):
    gradients = torch.zeros(2, 3)
    gradients[1 - adverse] = 1.0
    weighting = build(floor=floor)
    after = weights(weighting, gradients, updates=10_000)
    assert after[adverse] == pytest.approx(floor)
    # And it comes back as soon as it helps.
    assert weights(weighting, gradients.flip(0))[adverse] > floor + 0.005


@pytest.mark.parametrize("size", [1e3, 1e15, 1e38])
def test_influences_of_any_size_do_not_overflow(size, weights):
    assert weights(build(), torch.tensor([[size], [0.0]])) == pytest.approx([0.95, 0.05])
    assert weights(build(), torch.tensor([[0.0], [size]])) == pytest.approx([0.05, 0.95])


def test_gradients_that_are_not_finite_are_not_hidden(weights):
    assert all(math.isnan(one) for one in weights(build(), torch.full((2, 3), torch.nan)))
