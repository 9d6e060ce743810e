import math

import pytest
import torch

from adatok_core.config import ConstraintWeighting
from adatok_core.weighting.constraint import MAX_LOG_ODDS, Constraint

CANDIDATES = (2, 4, 8)
FIDELITY = torch.tensor([[0.2, 0.7, 1.2], [0.2, 0.9, 1.0]])  # full minus smallest: 1.0 and 0.8


def always(column):
    policy = torch.zeros(2, 3)
    policy[:, column] = 1
    return policy


def constraint(**options):
    return Constraint(ConstraintWeighting(**options), CANDIDATES)


@pytest.fixture
def efficiency(view):
    """The efficiency weight after some updates by the same policy."""

    def efficiency(weighting, policy, *, updates=1):
        for _ in range(updates):
            weighting.update(view(policy=policy, fidelity=FIDELITY))
        return weighting.weights[1].item()

    return efficiency


def test_a_constraint_starts_with_equal_weights():
    assert constraint(mean_budget=4).weights.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("target", "column", "direction"), [(4, 2, 1), (4, 0, -1), (4, 1, 0), (3, 1, 1), (6, 1, -1)]
)
def test_too_many_tokens_raise_the_weight_of_efficiency(target, column, direction, efficiency):
    moved = efficiency(constraint(mean_budget=target), always(column)) - 0.5
    assert (moved > 1e-4) - (moved < -1e-4) == direction


@pytest.mark.parametrize(
    # Mean drops: 0.9 at the smallest budget, 0.3 in the middle, none at the full one.
    ("target", "column", "direction"),
    [(0.3, 0, -1), (0.3, 2, 1), (0.3, 1, 0), (0.2, 1, -1), (0.4, 1, 1)],
)
def test_quality_to_spare_raises_the_weight_of_efficiency(target, column, direction, efficiency):
    moved = efficiency(constraint(quality_drop=target), always(column)) - 0.5
    assert (moved > 1e-4) - (moved < -1e-4) == direction


@pytest.mark.parametrize("options", [{"mean_budget": 4}, {"quality_drop": 0.3}])
def test_weights_rest_where_the_constraint_holds(options, efficiency):
    weighting = constraint(**options)
    away = efficiency(weighting, always(2), updates=10)
    assert away > 0.55
    assert efficiency(weighting, always(1), updates=50) == pytest.approx(away)


def test_the_constraint_is_measured_under_the_policy_s_probabilities(efficiency):
    even = torch.tensor([[0.5, 0.0, 0.5]]).expand(2, -1)
    assert efficiency(constraint(mean_budget=5), even, updates=20) == pytest.approx(0.5)
    assert efficiency(constraint(quality_drop=0.45), even, updates=20) == pytest.approx(0.5)


@pytest.mark.parametrize("options", [{"mean_budget": 5}, {"quality_drop": 0.5}])
def test_steps_are_in_log_odds_and_units_of_the_range(options, efficiency):
    moved = efficiency(constraint(**options, step_size=0.4), always(2))
    assert moved == pytest.approx(1 / (1 + math.exp(-0.4 * 0.5)))


@pytest.mark.parametrize("options", [{"mean_budget": 4}, {"quality_drop": 0.3}])
def test_step_size_sets_the_pace(options, efficiency):
    small = efficiency(constraint(**options, step_size=0.1), always(2))
    large = efficiency(constraint(**options, step_size=0.5), always(2))
    assert 0.5 < small < large


@pytest.mark.parametrize(("column", "limit"), [(0, -MAX_LOG_ODDS), (2, MAX_LOG_ODDS)])
def test_log_odds_stop_at_their_limit(column, limit, efficiency):
    weighting = constraint(mean_budget=4, step_size=1000.0)
    share = efficiency(weighting, always(column), updates=50)
    assert share == pytest.approx(1 / (1 + math.exp(-limit)))
    assert 0 < share < 1


def test_a_long_violation_is_not_held_against_the_policy_for_long(efficiency):
    weighting = constraint(mean_budget=5, step_size=0.5)
    assert efficiency(weighting, always(2), updates=10_000) > 0.99
    # Slack of -1/2 and steps of 1/2: four updates per unit of log-odds.
    assert efficiency(weighting, always(0), updates=math.ceil(4 * MAX_LOG_ODDS) + 4) < 0.5


def test_a_policy_that_is_not_finite_is_not_hidden(efficiency):
    assert math.isnan(efficiency(constraint(mean_budget=5), torch.full((2, 3), torch.nan)))


@pytest.mark.parametrize(
    ("options", "measure"),
    [
        ({"mean_budget": 3}, "budget"),
        ({"mean_budget": 6.5}, "budget"),
        ({"quality_drop": 0.15}, "drop"),
        ({"quality_drop": 0.6}, "drop"),
    ],
)
def test_a_policy_that_responds_to_the_weights_is_led_to_the_constraint(options, measure, view):
    weighting = constraint(**options)
    fidelity = torch.tensor([[0.0, 0.7, 1.0], [0.0, 0.4, 1.0]])
    efficiencies = torch.tensor([0.75, 0.5, 0.0])
    for _ in range(800):
        weights = weighting.weights
        policy = ((weights[0] * fidelity + weights[1] * efficiencies) / 0.1).softmax(-1)
        weighting.update(view(policy=policy, fidelity=fidelity))
    measured = {
        "budget": (policy @ torch.tensor([2.0, 4.0, 8.0])).mean(),
        "drop": (fidelity[:, -1] - (policy * fidelity).sum(-1)).mean(),
    }
    (target,) = options.values()
    assert measured[measure].item() == pytest.approx(target, rel=0.01)
