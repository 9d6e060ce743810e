"""The oracle: equal slope on the true curves, which no allocation can beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.allocators.allocation import oracle_allocation
from bench.allocators.base import Allocation, Fitting, Seen, passes_if
from bench.config.allocators import OracleConfig


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """The least mean distortion at the mean budget, over all the images it is given together."""

    budgets: np.ndarray
    mean_budget: float
    name: str = "oracle"
    sees = frozenset({"curves"})

    def allocate(self, seen: Seen) -> Allocation:
        """Its mean falls short of the request by less than the widest budget step / n.

        To know the curves, every image is decoded at every candidate, and encoded for each unless
        tokens are nested.

        Raises:
            UserError: the mean lies outside the candidates.
        """
        chosen = oracle_allocation(seen.part("curves"), self.budgets, self.mean_budget)
        candidates = float(len(self.budgets))
        passes = passes_if(seen.nested, not_nested=candidates)
        return Allocation(chosen, passes, candidates)


def fit_oracle(config: OracleConfig, fitting: Fitting) -> Oracle:
    """The oracle at a mean budget."""
    return Oracle(budgets=fitting.budgets, mean_budget=config.mean_budget)
