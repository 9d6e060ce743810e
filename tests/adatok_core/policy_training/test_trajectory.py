import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from adatok_core import policy_training
from adatok_core.batches import batch_indices, step_generator
from adatok_core.config import ConstraintWeighting
from adatok_core.policy_training import PolicyTrainer
from adatok_core.rewards import RewardTable
from adatok_core.training_state import DivergedError

KINDS = ["group", "sampled", "reinforce", "ppo", "supervised"]


@pytest.fixture(scope="module")
def brief(config):
    return replace(config, steps=7, log_every=3)


@pytest.mark.parametrize("name", KINDS)
def test_training_is_a_pure_function_of_its_seed(train, same, brief, objectives, name):
    config = replace(brief, objective=objectives[name])
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = train(config)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(6)
    same(first, train(config))


@pytest.mark.parametrize("name", KINDS)
def test_it_is_logged_up_to_the_last_step(train, brief, objectives, name):
    history = train(replace(brief, objective=objectives[name])).history
    assert [row["step"] for row in history] == [3, 6, 7]
    for row in history:
        assert list(row) == [
            "step",
            "objective",
            "mean_budget",
            "entropy",
            "kl_to_reference",
            "weight_fidelity",
            "weight_efficiency",
            "advantage_scale",
            "monitor_tokens",
            "monitor_mse",
            *(f"share_{b}" for b in brief.candidates),
        ]
        assert all(math.isfinite(value) for value in row.values())
        assert sum(row[f"share_{b}"] for b in brief.candidates) == pytest.approx(1)
        together = 0 if name == "supervised" else math.log(4)
        assert row["entropy"] + row["kl_to_reference"] == pytest.approx(together)
        assert (row["weight_fidelity"], row["weight_efficiency"]) == pytest.approx((0.7, 0.3))
        assert row["advantage_scale"] == 1


def test_a_row_tells_the_divergence_from_the_snapshot_of_its_step(
    train, brief, objectives, snapshot
):
    objective = replace(objectives["group"], kl=replace(snapshot, refresh_every=2))
    rows = train(replace(brief, log_every=1, objective=objective)).history
    # At steps 1, 3, 5 and 7 the snapshot is still the policy itself.
    assert [row["kl_to_reference"] for row in rows[::2]] == pytest.approx([0] * 4, abs=1e-6)
    assert all(row["kl_to_reference"] > 1e-5 for row in rows[1::2])


def test_the_first_row_is_the_uniform_policy(train, brief):
    row = train(replace(brief, steps=1)).history[0]
    assert row["mean_budget"] == pytest.approx(7.5)
    assert row["entropy"] == pytest.approx(math.log(4))
    assert row["kl_to_reference"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("count", "batch"), [(5, 5), (300, 64)])
def test_batches_follow_the_seed(train, seen, brief, count, batch):
    read = []

    def load(images):
        read.append(images.tolist())
        return seen.features[images]

    config = replace(brief, seed=4, log_every=100, batch=batch)
    train(config, features=seen.features[:count], mse=seen.mse[:count], load=load)
    drawn = [batch_indices(step, count=count, batch=batch, seed=4).tolist() for step in range(7)]
    watched = list(range(count))
    # The untrained point, the steps, and the last row of the log.
    assert read == [watched, *drawn, watched]


def test_a_batch_of_more_images_than_there_are_is_refused(train, seen, brief):
    with pytest.raises(ValueError, match="batch: 6 exceeds the 5 images"):
        train(replace(brief, batch=6), features=seen.features[:5], mse=seen.mse[:5])


@pytest.mark.parametrize("name", ["sampled", "reinforce", "ppo"])
def test_draws_follow_the_seed_and_the_step(monkeypatch, train, brief, objectives, name):
    asked = []

    def spy(seed, step):
        asked.append((seed, step))
        return step_generator(seed, step)

    monkeypatch.setattr(policy_training, "step_generator", spy)
    one = train(replace(brief, seed=4, objective=objectives[name]))
    assert asked == [(4, step) for step in range(7)]
    # Other draws, another policy.
    monkeypatch.setattr(policy_training, "step_generator", lambda *_: step_generator(9, 9))
    other = train(replace(brief, seed=4, objective=objectives[name]))
    assert one.history[-1]["mean_budget"] != other.history[-1]["mean_budget"]


@pytest.mark.parametrize(
    "name", ["fixed", "mean_budget", "quality_drop", "hypervolume", "gradient"]
)
def test_a_memory_mapped_array_is_read_in_the_rows_asked_for(
    tmp_path, monkeypatch, train, same, seen, brief, weightings, name
):
    monkeypatch.setattr(policy_training, "MONITOR_IMAGES", 20)
    path = tmp_path / "features.npy"
    np.save(path, seen.features.half().numpy())
    mapped = np.load(path, mmap_mode="r")
    sizes = []

    def load(images):
        sizes.append(len(images))
        return torch.from_numpy(mapped[images.numpy()])

    config = replace(brief, weighting=weightings[name])
    trainer = train(config, load=load)
    assert set(sizes) == {config.batch, 20}
    assert sizes.count(config.batch) == config.steps
    sizes.clear()
    trainer.trained_policy()
    assert max(sizes, default=0) <= 256
    assert sum(sizes) == (300 if isinstance(config.weighting, ConstraintWeighting) else 0)
    same(trainer, train(config, features=seen.features.half().float()))


def test_the_learning_rate_falls_linearly_to_zero(monkeypatch, train, brief):
    rates = []
    update = torch.optim.AdamW.step

    def spy(self, *arguments):
        rates.append(self.param_groups[0]["lr"])
        return update(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    train(replace(brief, steps=4))
    assert rates == pytest.approx([1e-2, 0.75e-2, 0.5e-2, 0.25e-2])


def test_tables_of_different_length_are_refused(seen, brief):
    rewards = RewardTable.of(seen.mse, brief.candidates, max_tokens=16)
    with pytest.raises(ValueError, match="rewards of 300 images, distortions of 299"):
        PolicyTrainer(brief, load=None, length=3, width=8, rewards=rewards, mse=seen.mse[1:])


@pytest.mark.parametrize("name", KINDS)
def test_divergence_is_an_error_that_names_the_step(train, seen, brief, objectives, name):
    config = replace(brief, objective=objectives[name])
    with pytest.raises(DivergedError, match=r"at step 1$"):
        train(config, features=torch.full_like(seen.features, torch.nan))
    # The second update of the first step already shows it to PPO.
    step = 1 if name == "ppo" else 2
    with pytest.raises(DivergedError, match=rf"at step {step}$"):
        train(replace(config, learning_rate=1e38))


def test_divergence_in_a_later_batch_names_that_step(train, seen, brief):
    features = seen.features.clone()
    features[batch_indices(4, count=300, batch=64, seed=0)[0]] = torch.nan  # of the first epoch
    with pytest.raises(DivergedError, match=r"at step 5$"):
        train(brief, features=features)
