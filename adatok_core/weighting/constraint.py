"""Dual ascent on the efficiency weight until a constraint holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from adatok_core.config import ConstraintWeighting
from adatok_core.weighting.base import StepView, Weighting

# Weights between 0.0003 and 0.9997. A constraint that cannot hold for a while would otherwise
# carry the log-odds so far that the way back outlasts the training (integrator windup).
MAX_LOG_ODDS = 8.0


class Constraint(Weighting):
    """The log-odds of the efficiency weight rise while the constraint has slack, from 0.

    The slack is measured under the policy's probabilities: tokens above `mean_budget` in units of
    the budgets' range, or fidelity still to give up before `quality_drop`. The log-odds stay
    within `[-8, 8]`.
    """

    def __init__(self, config: ConstraintWeighting, candidates: Sequence[int]):
        self.config = config
        self.budgets = torch.tensor(candidates, dtype=torch.float32)
        self._move(0.0)

    def _move(self, log_odds: float) -> None:
        self.log_odds = log_odds
        self.weights = torch.tensor([-log_odds, log_odds]).sigmoid()

    def update(self, view: StepView) -> None:
        """One step of dual ascent from the batch's probabilities and fidelities."""
        target, drop = self.config.mean_budget, self.config.quality_drop
        if target is not None:
            mean = (view.policy @ self.budgets).mean()
            slack = (mean - target) / (self.budgets[-1] - self.budgets[0])
        elif drop is not None:
            given_up = (view.fidelity[:, -1] - (view.policy * view.fidelity).sum(-1)).mean()
            slack = drop - given_up
        moved = self.log_odds + self.config.step_size * float(slack)
        self._move(max(min(moved, MAX_LOG_ODDS), -MAX_LOG_ODDS))

    def state(self) -> dict[str, Tensor]:
        """The log-odds of the efficiency weight."""
        return {"log_odds": torch.tensor(self.log_odds, dtype=torch.float64)}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Resume from what `state` returned."""
        self._move(tensors["log_odds"].item())
