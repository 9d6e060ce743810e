import pytest
import torch

from adatok_core.config import PPO, DeterministicGroup, Reinforce, SampledGroup, Supervised
from adatok_core.objectives import Predictor, build_objective

POLICY = torch.tensor([[0.7, 0.2, 0.1, 0.0], [0.1, 0.1, 0.2, 0.6]], dtype=torch.float64)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("config", "draws"),
    [(SampledGroup(draws=2), 2), (SampledGroup(draws=9), 9), (Reinforce(), 1), (PPO(), 1)],
)
def test_every_image_has_its_number_of_draws(config, draws):
    actions = build_objective(config).draw(POLICY.log(), seeded(0))
    assert actions.shape == (2, draws)
    assert actions.dtype == torch.int64


def test_the_deterministic_group_draws_nothing():
    generator = seeded(0)
    before = generator.get_state()
    assert build_objective(DeterministicGroup()).draw(POLICY.log(), generator) is None
    assert torch.equal(generator.get_state(), before)


def test_a_supervised_objective_draws_nothing_it_predicts():
    assert isinstance(build_objective(Supervised()), Predictor)


@pytest.mark.parametrize("seed", range(3))
def test_draws_follow_the_probabilities(seed):
    draws = 20_000
    actions = build_objective(SampledGroup(draws=draws)).draw(POLICY.log(), seeded(seed))
    for row, probabilities in zip(actions, POLICY, strict=True):
        frequencies = torch.bincount(row, minlength=4) / draws
        error = (probabilities * (1 - probabilities) / draws).sqrt()
        assert ((frequencies - probabilities).abs() <= 4 * error).all()


def test_draws_depend_on_the_generator_alone():
    def draw(seed):
        return build_objective(SampledGroup(draws=50)).draw(POLICY.log(), seeded(seed))

    first, state = draw(0), torch.random.get_rng_state()
    torch.rand(1)  # moves the global generator
    assert torch.equal(draw(0), first)
    assert not torch.equal(draw(1), first)
    torch.random.set_rng_state(state)
    draw(0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_successive_draws_of_a_generator_differ():
    generator = seeded(0)
    config = SampledGroup(draws=50)
    first, second = (build_objective(config).draw(POLICY.log(), generator) for _ in range(2))
    assert not torch.equal(first, second)
