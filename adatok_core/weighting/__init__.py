"""Dynamic Pareto weighting: how fidelity and efficiency are weighed while a policy trains."""

from __future__ import annotations

from collections.abc import Sequence

from adatok_core.config.weighting import WEIGHTINGS, WeightingSettings
from adatok_core.weighting.base import StepView, Weighting

__all__ = ["StepView", "Weighting", "build_weighting"]


def build_weighting(config: WeightingSettings, candidates: Sequence[int]) -> Weighting:
    """Build the weighting of these settings, over the candidate budgets."""
    weighting: Weighting = WEIGHTINGS[config.kind].load()(config, candidates)
    return weighting
