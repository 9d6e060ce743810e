import pytest

from adatok_core.config import (
    PPO,
    ConstraintWeighting,
    DeterministicGroup,
    FixedWeighting,
    GradientWeighting,
    HypervolumeWeighting,
    PolicyConfig,
    Reward,
    Supervised,
)

TWO = {"candidates": (2, 4)}

OUT_OF_RANGE = [
    ({"candidates": (4,)}, "candidates"),
    ({"candidates": (0, 4)}, "candidates"),
    ({"candidates": (4, 2)}, "candidates"),
    ({"candidates": (4, 4)}, "candidates"),
    ({"prefix": 0, "input": "quantized"}, "prefix"),
    ({"prefix": 2, "input": "latents"}, "prefix"),
    ({"prefix": 2, "input": "pixels"}, "prefix"),
    ({"pooling_queries": 0}, "pooling_queries"),
    ({"hidden": 0}, "hidden"),
    ({"steps": 0}, "steps"),
    ({"batch": 0}, "batch"),
    ({"learning_rate": 0.0}, "learning_rate"),
    ({"weight_decay": -1e-3}, "weight_decay"),
    ({"log_every": 0}, "log_every"),
    ({"checkpoint_every": 0}, "checkpoint_every"),
    ({"seed": -1}, "seed"),
    ({"weighting": ConstraintWeighting(mean_budget=1.5)}, "weighting.mean_budget"),
    ({"weighting": ConstraintWeighting(mean_budget=4.5)}, "weighting.mean_budget"),
    (
        {"steps": 9, "weighting": HypervolumeWeighting(reference="untrained", every=10)},
        "weighting.every",
    ),
    ({"objective": Supervised(), "weighting": GradientWeighting()}, "weighting.kind"),
    (
        {"objective": Supervised(), "weighting": HypervolumeWeighting(reference="untrained")},
        "weighting.kind",
    ),
]

ON_THE_EDGE = [
    {"candidates": (1, 2)},
    {"prefix": 1, "input": "quantized"},
    {"prefix": None, "input": "quantized"},
    {"input": "pixels"},
    {"pooling_queries": 1, "hidden": 1, "steps": 1, "batch": 1},
    {"log_every": 1, "checkpoint_every": 1, "weight_decay": 0, "seed": 0},
    {"weighting": ConstraintWeighting(mean_budget=2)},
    {"weighting": ConstraintWeighting(mean_budget=4)},
    {"weighting": ConstraintWeighting(quality_drop=0.5)},
    {"steps": 10, "weighting": HypervolumeWeighting(reference="untrained", every=10)},
    {"objective": Supervised(), "weighting": FixedWeighting()},
    {"objective": Supervised(), "weighting": ConstraintWeighting(mean_budget=3)},
    {"objective": PPO(), "weighting": GradientWeighting()},
]


@pytest.mark.parametrize(("values", "key"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_its_key(refused, values, key):
    refused(PolicyConfig, TWO | values, key)


@pytest.mark.parametrize("values", ON_THE_EDGE)
def test_the_ends_of_a_range_are_accepted(accepted, values):
    accepted(PolicyConfig, TWO | values)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_perceptual_share_is_a_share(refused, share):
    refused(Reward, {"perceptual_share": share}, "perceptual_share")


@pytest.mark.parametrize("share", [0, 1])
def test_all_or_nothing_may_be_perceptual(accepted, share):
    accepted(Reward, {"perceptual_share": share, "scale": "relative"})


@pytest.mark.parametrize("config", [PolicyConfig(**TWO), Reward()])
def test_defaults_are_valid_frozen_and_strict(frozen_and_strict, config):
    frozen_and_strict(config)


def test_candidates_have_no_default():
    with pytest.raises(TypeError, match="candidates"):
        PolicyConfig()


def test_a_policy_learns_by_the_deterministic_group_unless_told():
    config = PolicyConfig(**TWO)
    assert config.objective == DeterministicGroup()
    assert config.weighting == FixedWeighting()
    assert config.reward == Reward()
    assert config.input == "latents"
