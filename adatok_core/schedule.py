"""The learning rate over a training."""

from __future__ import annotations

import math

from adatok_core.config import GeneratorTraining, TrainingConfig


def learning_rate(step: int, config: TrainingConfig | GeneratorTraining) -> float:
    """Linear warm-up, then a cosine to a tenth of the peak at the last step."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - 1 - config.warmup_steps)
    return config.learning_rate * (0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)
