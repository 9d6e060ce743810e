"""The control that learns no policy: it predicts fidelities, the choice is by slope."""

from __future__ import annotations

from torch import Tensor

from adatok_core import config
from adatok_core.objectives.objective import Predictor


class Supervised(Predictor):
    """Squared error; `centred`, of the differences between an image's budgets alone."""

    def __init__(self, settings: config.Supervised):
        self.centred = settings.centred

    def loss(self, predicted: Tensor, fidelity: Tensor) -> Tensor:
        """The mean squared error `[]` of `predicted [b, M]`."""
        error = predicted - fidelity
        if self.centred:
            error = error - error.mean(-1, keepdim=True)
        return error.square().mean()
