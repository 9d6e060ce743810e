import pytest

from adatok_core.config import (
    ConstraintWeighting,
    FixedWeighting,
    GradientWeighting,
    HypervolumeWeighting,
)


def test_a_hypervolume_needs_its_reference():
    with pytest.raises(TypeError, match="reference"):
        HypervolumeWeighting()


def test_each_kind_has_its_own_name():
    assert FixedWeighting().kind == "fixed"
    assert ConstraintWeighting(mean_budget=4).kind == "constraint"
    assert HypervolumeWeighting(reference="untrained").kind == "hypervolume"
    assert GradientWeighting().kind == "gradient"
