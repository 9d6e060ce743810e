"""Dynamic Pareto weighting: how fidelity and efficiency are weighed while a policy trains."""

from __future__ import annotations

from collections.abc import Sequence

from adatok_core.config import (
    ConstraintWeighting,
    FixedWeighting,
    GradientWeighting,
    HypervolumeWeighting,
    WeightingConfig,
)
from adatok_core.weighting.base import StepView, Weighting
from adatok_core.weighting.constraint import Constraint
from adatok_core.weighting.fixed import Fixed
from adatok_core.weighting.gradient import Gradient
from adatok_core.weighting.hypervolume import Hypervolume

__all__ = ["StepView", "Weighting", "build_weighting"]


def build_weighting(config: WeightingConfig, candidates: Sequence[int]) -> Weighting:
    """The weighting that `config` describes, over the candidate budgets."""
    if isinstance(config, ConstraintWeighting):
        return Constraint(config, candidates)
    schemes = {
        FixedWeighting: Fixed,
        HypervolumeWeighting: Hypervolume,
        GradientWeighting: Gradient,
    }
    return schemes[type(config)](config)
