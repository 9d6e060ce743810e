"""Pareto weightings: how the weights of fidelity and efficiency move during policy training.

A weighting has `weights [2]` on the simplex and `update(policy, fidelity)`, called after every
step with the batch's probabilities and fidelities `[b, M]`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adatok_core.config import ConstraintWeighting, FixedWeighting


class Fixed:
    """Weights that never move."""

    def __init__(self, config: FixedWeighting):
        self.weights = torch.tensor([1 - config.efficiency, config.efficiency])

    def update(self, policy: Tensor, fidelity: Tensor) -> None:
        """Nothing to learn from a batch."""


class Constraint:
    """Dual ascent: the log-odds of the efficiency weight rise while the constraint has slack.

    The violation is measured under the policy's probabilities, in units of the budgets' range or
    of the mean fidelity between the smallest and the full budget.
    """

    def __init__(self, config: ConstraintWeighting, candidates: Sequence[int]):
        self.config = config
        self.budgets = torch.tensor(candidates, dtype=torch.float32)
        self.log_odds = 0.0

    @property
    def weights(self) -> Tensor:
        """Current weights of fidelity and efficiency, `[2]`."""
        return torch.tensor([-self.log_odds, self.log_odds]).sigmoid()

    def update(self, policy: Tensor, fidelity: Tensor) -> None:
        """One step of dual ascent from `policy [b, M]` and `fidelity [b, M]`."""
        if self.config.mean_budget is not None:
            mean = (policy @ self.budgets).mean()
            excess = (mean - self.config.mean_budget) / (self.budgets[-1] - self.budgets[0])
        else:
            drop = (fidelity[:, -1] - (policy * fidelity).sum(-1)).mean()
            excess = self.config.quality_drop - drop
        self.log_odds += self.config.step_size * float(excess)


def build_weighting(
    config: FixedWeighting | ConstraintWeighting, candidates: Sequence[int]
) -> Fixed | Constraint:
    """The weighting that `config` describes, over the candidate budgets."""
    if isinstance(config, FixedWeighting):
        return Fixed(config)
    return Constraint(config, candidates)
