"""Objectives that a policy is trained to maximise, and what they are made of."""

from __future__ import annotations

from adatok_core.config.objective import OBJECTIVES, ObjectiveSettings
from adatok_core.objectives.objective import Batch, PolicyGradient, Predictor
from adatok_core.objectives.penalties import entropy, k3, uniform_log_policy

__all__ = [
    "Batch",
    "PolicyGradient",
    "Predictor",
    "build_objective",
    "entropy",
    "k3",
    "uniform_log_policy",
]


def build_objective(config: ObjectiveSettings) -> PolicyGradient | Predictor:
    """Build the objective of these settings."""
    objective: PolicyGradient | Predictor = OBJECTIVES[config.kind].load()(config)
    return objective
