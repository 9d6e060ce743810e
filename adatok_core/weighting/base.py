"""Interface of a weighting, and its view of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class StepView:
    """The step just finished; what is costly is a function, called by the schemes that need it."""

    step: int  # counted from 1
    policy: Tensor  # [b, M], the policy's probabilities for the batch, detached
    fidelity: Tensor  # [b, M]
    gradients: Callable[[], Tensor]  # [2, P], policy gradients of fidelity and efficiency alone
    point: Callable[[], tuple[float, float]]  # mean fidelity and efficiency on monitoring images


class Weighting(Protocol):
    """Weights of fidelity and efficiency that may move after every step.

    `weights [2]`, float32, lie on the simplex. `advantage_scale` multiplies the advantages once
    they are final: a division by the group's deviation would cancel it.
    """

    weights: Tensor
    advantage_scale: float = 1.0

    def begin(self, point: tuple[float, float]) -> None:
        """Take the untrained policy's point, before the first step."""

    def update(self, view: StepView) -> None:
        """Learn from a step."""

    def state(self) -> dict[str, Tensor]:
        """Everything that moves, in float64; what `load_state` resumes from bit for bit."""
        return {}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Resume from what `state` returned."""
