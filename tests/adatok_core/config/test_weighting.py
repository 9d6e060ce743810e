import pytest

from adatok_core.config import (
    ConstraintWeighting,
    FixedWeighting,
    GradientWeighting,
    HypervolumeWeighting,
)

UNTRAINED = {"reference": "untrained"}

OUT_OF_RANGE = [
    (FixedWeighting, {"efficiency": -0.1}, "efficiency"),
    (FixedWeighting, {"efficiency": 1.1}, "efficiency"),
    (ConstraintWeighting, {}, "mean_budget, quality_drop"),
    (ConstraintWeighting, {"mean_budget": 4, "quality_drop": 0.1}, "mean_budget, quality_drop"),
    (ConstraintWeighting, {"mean_budget": 0.5}, "mean_budget"),
    (ConstraintWeighting, {"quality_drop": 0.0}, "quality_drop"),
    (ConstraintWeighting, {"quality_drop": 1.0}, "quality_drop"),
    (ConstraintWeighting, {"mean_budget": 4, "step_size": 0.0}, "step_size"),
    (HypervolumeWeighting, UNTRAINED | {"efficiency": -0.1}, "efficiency"),
    (HypervolumeWeighting, UNTRAINED | {"efficiency": 1.1}, "efficiency"),
    (HypervolumeWeighting, UNTRAINED | {"every": 0}, "every"),
    (HypervolumeWeighting, UNTRAINED | {"scale": 0.0}, "scale"),
    (GradientWeighting, {"floor": 0.0}, "floor"),
    (GradientWeighting, {"floor": 0.5}, "floor"),
    (GradientWeighting, {"floor": 0.2, "efficiency": 0.1}, "efficiency"),
    (GradientWeighting, {"floor": 0.2, "efficiency": 0.9}, "efficiency"),
    (GradientWeighting, {"step_size": 0.0}, "step_size"),
]

ON_THE_EDGE = [
    (FixedWeighting, {"efficiency": 0}),
    (FixedWeighting, {"efficiency": 1}),
    (ConstraintWeighting, {"mean_budget": 1, "step_size": 1e-3}),
    (ConstraintWeighting, {"quality_drop": 1e-3}),
    (ConstraintWeighting, {"quality_drop": 0.999}),
    (HypervolumeWeighting, UNTRAINED | {"efficiency": 0, "every": 1, "scale": 1e-3}),
    (HypervolumeWeighting, {"reference": (0.0, -1.0), "efficiency": 1}),
    (GradientWeighting, {"floor": 0.25, "efficiency": 0.25}),
    (GradientWeighting, {"floor": 0.25, "efficiency": 0.75}),
]


@pytest.mark.parametrize(("kind", "values", "key"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_its_key(refused, kind, values, key):
    refused(kind, values, key)


@pytest.mark.parametrize(("kind", "values"), ON_THE_EDGE)
def test_the_ends_of_a_range_are_accepted(accepted, kind, values):
    accepted(kind, values)


@pytest.mark.parametrize(
    "config",
    [
        FixedWeighting(),
        ConstraintWeighting(mean_budget=4),
        HypervolumeWeighting(reference="untrained"),
        GradientWeighting(),
    ],
)
def test_defaults_are_valid_frozen_and_strict(frozen_and_strict, config):
    frozen_and_strict(config)


def test_a_hypervolume_needs_its_reference():
    with pytest.raises(TypeError, match="reference"):
        HypervolumeWeighting()


def test_each_kind_has_its_own_name():
    assert FixedWeighting().kind == "fixed"
    assert ConstraintWeighting(mean_budget=4).kind == "constraint"
    assert HypervolumeWeighting(reference="untrained").kind == "hypervolume"
    assert GradientWeighting().kind == "gradient"
