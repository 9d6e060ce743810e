"""Exponential moving averages of a model's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def average_pace(decay: float, *, step: int) -> float:
    """Share of the way to the model that its average goes in step `step` (0 is the first).

    The average starts short, so that it forgets the initial weights.
    """
    return 1 - min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, *, pace: Tensor | float) -> None:
    """Move `average` towards `model` by the share `pace`, copy the buffers.

    As a scalar tensor the share is not read back from a GPU.
    """
    means: list[Tensor] = [*average.parameters()]
    values: list[Tensor] = [*model.parameters()]
    if isinstance(pace, float):
        torch._foreach_lerp_(means, values, pace)
    else:
        steps = torch._foreach_sub(values, means)
        torch._foreach_mul_(steps, pace)
        torch._foreach_add_(means, list(steps))
    for mean, buffer in zip(average.buffers(), model.buffers(), strict=True):
        mean.copy_(buffer)
