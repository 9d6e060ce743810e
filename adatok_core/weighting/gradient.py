"""Multiplicative update of the weights by gradient influence (arXiv 2509.11452), with a floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from adatok_core.config import GradientWeighting
from adatok_core.weighting.base import StepView, Weighting


def influence(gradients: Tensor) -> Tensor:
    """`I_i = <g_i, sum_j g_j>` of the objectives' `gradients [2, P]`, in float64: `[2]`.

    To first order, what objective `i` gains per unit of an ascent step along the sum of the
    gradients. It has the units of a squared gradient: rewards twice as large make it four times
    as large, so `step_size` belongs to a scale of the rewards and a size of the policy.
    """
    gradients = gradients.double()
    return gradients @ gradients.sum(0)


class Gradient(Weighting):
    """`w_i <- w_i exp(step_size * I_i) / sum`, then no weight below `floor`.

    For two objectives, clipping to `[floor, 1 - floor]` is the projection on the weights allowed;
    where it does not bind, the update is the published one. Its `eta / mu` is `step_size`.
    """

    def __init__(self, config: GradientWeighting, candidates: Sequence[int] = ()):
        self.config = config
        self.efficiency = config.efficiency

    @property
    def weights(self) -> Tensor:
        """Weights of fidelity and efficiency, `[2]`."""
        return torch.tensor([1 - self.efficiency, self.efficiency])

    def update(self, view: StepView) -> None:
        """One multiplicative step by the influences of the batch's gradients."""
        weights = torch.tensor([1 - self.efficiency, self.efficiency], dtype=torch.float64)
        # Softmax of the logarithms is the update, and does not overflow.
        logarithms = weights.log() + self.config.step_size * influence(view.gradients()).cpu()
        efficiency = logarithms.softmax(0)[1]
        self.efficiency = efficiency.clamp(self.config.floor, 1 - self.config.floor).item()

    def state(self) -> dict[str, Tensor]:
        """The efficiency weight."""
        return {"efficiency": torch.tensor(self.efficiency, dtype=torch.float64)}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Resume from what `state` returned."""
        self.efficiency = tensors["efficiency"].item()
