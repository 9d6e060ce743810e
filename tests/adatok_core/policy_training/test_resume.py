from dataclasses import replace

import pytest
import torch

from adatok_core.config import PPO, ConstraintWeighting, DeterministicGroup

KINDS = ["group", "sampled", "reinforce", "ppo", "supervised"]
WEIGHTINGS = ["fixed", "mean_budget", "quality_drop", "hypervolume", "gradient"]
PAIRS = [
    (objective, weighting)
    for objective in KINDS
    for weighting in WEIGHTINGS
    if objective != "supervised" or weighting not in ("hypervolume", "gradient")
]


@pytest.fixture(scope="module")
def brief(config):
    return replace(config, steps=7, log_every=2)


@pytest.fixture(scope="module")
def resumed_after(trainer_of):
    """`resumed_after(config, steps)`: stopped there, gone on with by another trainer."""

    def resumed_after(config, steps):
        first = trainer_of(config)
        run = first.run()
        for _ in range(steps):
            next(run)
        state = first.state()
        kept = {name: tensor.clone() for name, tensor in state.tensors.items()}
        list(run)  # that the first one trains on must leave the state alone, and so must the second
        second = trainer_of(config)
        second.load_state(state)
        assert list(second.run()) == list(range(steps + 1, config.steps + 1))
        assert state.step == steps
        for name, tensor in state.tensors.items():
            torch.testing.assert_close(tensor, kept[name], rtol=0, atol=0, equal_nan=True)
        return second

    return resumed_after


@pytest.mark.parametrize(("objective", "weighting"), PAIRS)
def test_a_resumed_training_ends_in_the_same_bits(
    train, resumed_after, same, brief, objectives, weightings, objective, weighting
):
    config = replace(brief, objective=objectives[objective], weighting=weightings[weighting])
    whole = train(config)
    for steps in (1, 5):
        same(whole, resumed_after(config, steps))


@pytest.mark.parametrize("name", KINDS[:-1])
def test_a_resumed_training_remembers_its_snapshot(
    train, resumed_after, same, brief, objectives, snapshot, name
):
    config = replace(brief, objective=replace(objectives[name], kl=snapshot))
    whole = train(config)
    for steps in (3, 5):
        same(whole, resumed_after(config, steps))


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_resumed_training_remembers_the_untrained_policy_s_point(
    train, resumed_after, same, brief, weightings, steps
):
    weighting = replace(weightings["hypervolume"], reference="untrained", efficiency=0.45)
    config = replace(brief, weighting=weighting)
    whole, resumed = train(config), resumed_after(config, steps)
    same(whole, resumed)
    for name, tensor in whole.weighting.state().items():
        assert torch.equal(resumed.weighting.state()[name], tensor)


def test_a_finished_training_is_not_gone_on_with(train, trainer_of, same, brief):
    whole, again = train(brief), trainer_of(brief)
    again.load_state(whole.state())
    assert list(again.run()) == []
    same(whole, again)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": 8},
        {"objective": PPO()},
        {"objective": "snapshot"},
        {"weighting": ConstraintWeighting(mean_budget=4)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_state_of_another_configuration_is_refused(train, trainer_of, brief, snapshot, change):
    if change.get("objective") == "snapshot":
        change = {"objective": DeterministicGroup(kl=snapshot)}
    other = replace(brief, **change)
    for mine, theirs in ((brief, other), (other, brief)):
        with pytest.raises(RuntimeError, match=r"size mismatch|another configuration"):
            trainer_of(mine).load_state(train(theirs).state())
