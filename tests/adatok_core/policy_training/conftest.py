from types import SimpleNamespace

import pytest
import torch

from adatok_core.config import (
    KL,
    PPO,
    Annealed,
    ConstraintWeighting,
    DeterministicGroup,
    FixedWeighting,
    GradientWeighting,
    HypervolumeWeighting,
    PolicyConfig,
    Reinforce,
    SampledGroup,
    Supervised,
)
from adatok_core.policy_training import PolicyTrainer
from adatok_core.rewards import RewardTable

BUDGETS = torch.tensor([2.0, 4.0, 8.0, 16.0])


def scenes(*, seed, count=300):
    """Images whose first feature tells, with noise, how slowly their distortion falls."""
    generator = torch.Generator().manual_seed(seed)
    complexity = torch.rand(count, generator=generator)
    features = torch.randn(count, 3, 8, generator=generator)
    features[:, :, 0] += 6 * (complexity[:, None] - 0.5)
    rate = 1 + 8 * complexity[:, None]
    mse = (0.2 + complexity[:, None]) * torch.exp(-BUDGETS / rate)
    return SimpleNamespace(complexity=complexity, features=features, mse=mse, budgets=BUDGETS)


@pytest.fixture(scope="session")
def seen():
    """300 images to train on."""
    return scenes(seed=0)


@pytest.fixture(scope="session")
def unseen():
    """300 others."""
    return scenes(seed=1)


@pytest.fixture(scope="session")
def config():
    """Enough training to tell complex images from simple ones."""
    return PolicyConfig(
        candidates=(2, 4, 8, 16),
        hidden=16,
        steps=150,
        batch=64,
        learning_rate=1e-2,
        weighting=FixedWeighting(efficiency=0.3),
    )


@pytest.fixture(scope="session")
def objectives():
    """One of each kind, by a short name."""
    return {
        "group": DeterministicGroup(),
        "sampled": SampledGroup(draws=4),
        "reinforce": Reinforce(),
        "ppo": PPO(updates_per_batch=2),
        "supervised": Supervised(),
    }


@pytest.fixture(scope="session")
def weightings():
    """One of each kind, the constraint once for each of what it may hold."""
    return {
        "fixed": FixedWeighting(efficiency=0.3),
        "mean_budget": ConstraintWeighting(mean_budget=5),
        "quality_drop": ConstraintWeighting(quality_drop=0.3),
        "hypervolume": HypervolumeWeighting(reference=(-0.5, -0.1), efficiency=0.3, every=2),
        "gradient": GradientWeighting(efficiency=0.3, step_size=5.0),
    }


@pytest.fixture(scope="session")
def snapshot():
    """A penalty on leaving a snapshot that is often taken anew."""
    return KL(coefficient=Annealed(start=0.1, end=0.1), reference="snapshot", refresh_every=4)


@pytest.fixture(scope="session")
def trainer_of(seen):
    """`trainer_of(config, features=, mse=, perceptual=, load=)`: a fresh one, `seen` by default."""

    def trainer_of(config, *, features=seen.features, mse=seen.mse, perceptual=None, load=None):
        rewards = RewardTable.of(
            mse, config.candidates, max_tokens=16, config=config.reward, perceptual=perceptual
        )
        length, width = features.shape[1:]
        load = load or (lambda images: features[images])
        return PolicyTrainer(
            config, load=load, length=length, width=width, rewards=rewards, mse=mse
        )

    return trainer_of


@pytest.fixture(scope="session")
def train(trainer_of):
    """`train(config, **tables)`: the trainer after its last step."""

    def train(config, **tables):
        trainer = trainer_of(config, **tables)
        assert list(trainer.run()) == list(range(1, config.steps + 1))
        return trainer

    return train


@pytest.fixture(scope="session")
def weights():
    """`weights(module)`: all of its parameters as one vector."""

    def weights(module):
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    return weights


@pytest.fixture(scope="session")
def same(weights):
    """`same(a, b)`: two trainers ended in the same bits and logged the same."""

    def same(a, b):
        assert torch.equal(weights(a.policy), weights(b.policy))
        assert torch.equal(weights(a.trained_policy()), weights(b.trained_policy()))
        assert a.history == b.history

    return same
