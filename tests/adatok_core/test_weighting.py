import pytest
import torch

from adatok_core.config import ConstraintWeighting, FixedWeighting
from adatok_core.weighting import Constraint, Fixed, build_weighting

CANDIDATES = (2, 4, 8)
FIDELITY = torch.tensor([[0.2, 0.7, 1.2], [0.2, 0.9, 1.0]])  # full minus smallest: 1.0 and 0.8


def always(column):
    policy = torch.zeros(2, 3)
    policy[:, column] = 1
    return policy


def constraint(**options):
    return build_weighting(ConstraintWeighting(**options), CANDIDATES)


def efficiency(weighting, policy, *, updates=1):
    """The efficiency weight after some updates."""
    for _ in range(updates):
        weighting.update(policy, FIDELITY)
    weights = weighting.weights
    assert weights.shape == (2,)
    assert weights.dtype == torch.float32
    assert (weights >= 0).all()
    assert weights.sum().item() == pytest.approx(1)
    return weights[1].item()


def test_the_kind_of_the_configuration_is_built():
    assert type(build_weighting(FixedWeighting(), CANDIDATES)) is Fixed
    assert type(constraint(mean_budget=4)) is Constraint


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_fixed_weights_never_move(share):
    weighting = build_weighting(FixedWeighting(efficiency=share), CANDIDATES)
    for column in (0, 2):
        assert efficiency(weighting, always(column), updates=5) == pytest.approx(share)


def test_a_constraint_starts_with_equal_weights():
    assert constraint(mean_budget=4).weights.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("target", "column", "direction"), [(4, 2, 1), (4, 0, -1), (4, 1, 0), (3, 1, 1), (6, 1, -1)]
)
def test_too_many_tokens_raise_the_weight_of_efficiency(target, column, direction):
    moved = efficiency(constraint(mean_budget=target), always(column)) - 0.5
    assert (moved > 1e-4) - (moved < -1e-4) == direction


@pytest.mark.parametrize(
    # Mean drops: 0.9 at the smallest budget, 0.3 in the middle, none at the full one.
    ("target", "column", "direction"),
    [(0.3, 0, -1), (0.3, 2, 1), (0.3, 1, 0), (0.2, 1, -1), (0.4, 1, 1)],
)
def test_quality_to_spare_raises_the_weight_of_efficiency(target, column, direction):
    moved = efficiency(constraint(quality_drop=target), always(column)) - 0.5
    assert (moved > 1e-4) - (moved < -1e-4) == direction


@pytest.mark.parametrize("options", [{"mean_budget": 4}, {"quality_drop": 0.3}])
def test_weights_rest_where_the_constraint_holds(options):
    weighting = constraint(**options)
    away = efficiency(weighting, always(2), updates=10)
    assert away > 0.55
    assert efficiency(weighting, always(1), updates=50) == pytest.approx(away)


def test_the_constraint_is_measured_under_the_policy_s_probabilities():
    even = torch.tensor([[0.5, 0.0, 0.5]]).expand(2, -1)
    assert efficiency(constraint(mean_budget=5), even, updates=20) == pytest.approx(0.5)
    assert efficiency(constraint(quality_drop=0.45), even, updates=20) == pytest.approx(0.5)


def test_steps_are_in_log_odds_and_units_of_the_range():
    weighting = constraint(mean_budget=5, step_size=0.4)
    assert efficiency(weighting, always(2)) == pytest.approx(1 / (1 + 2.718281828**-0.2))
    weighting = constraint(quality_drop=0.5, step_size=0.4)
    assert efficiency(weighting, always(2)) == pytest.approx(1 / (1 + 2.718281828**-0.2))


@pytest.mark.parametrize("options", [{"mean_budget": 4}, {"quality_drop": 0.3}])
def test_step_size_sets_the_pace(options):
    small = efficiency(constraint(**options, step_size=0.1), always(2))
    large = efficiency(constraint(**options, step_size=0.5), always(2))
    assert 0.5 < small < large


@pytest.mark.parametrize(("column", "limit"), [(0, 0.0), (2, 1.0)])
def test_weights_stay_on_the_simplex_when_a_constraint_never_holds(column, limit):
    weighting = constraint(mean_budget=4, step_size=1000.0)
    assert efficiency(weighting, always(column), updates=50) == pytest.approx(limit)
