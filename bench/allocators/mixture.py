"""Allocations that ignore the image: a fixed length, the agnostic mixture, permuted budgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.allocators.allocation import fixed_allocation, lower_hull, shuffled_allocation
from bench.allocators.base import NOTHING, Allocation, Fitting, Seen, generator
from bench.config.allocators import AgnosticConfig


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A mix of the two `usable` budgets next to `mean_budget`; who gets which is random.

    `usable [K]` are columns of the candidate `budgets [M]`.
    """

    name: str
    budgets: np.ndarray
    usable: np.ndarray
    mean_budget: float
    seed: int
    sees = NOTHING

    def allocate(self, seen: Seen) -> Allocation:
        """Exact shares of the two budgets, over random images.

        Raises:
            UserError: the mean lies outside the candidates.
        """
        rng = generator(self.seed, self.name)
        budgets = self.budgets[self.usable]
        return Allocation(self.usable[fixed_allocation(budgets, seen.count, self.mean_budget, rng)])


def fixed(budgets: np.ndarray, *, mean_budget: float, seed: int = 0) -> Mixture:
    """A fixed length: one candidate budget, or a mix of the two next to the mean."""
    return Mixture(
        name="fixed",
        budgets=budgets,
        usable=np.arange(len(budgets)),
        mean_budget=mean_budget,
        seed=seed,
    )


def agnostic(
    budgets: np.ndarray, *, mean_curve: np.ndarray, mean_budget: float, seed: int = 0
) -> Mixture:
    """The best mix that ignores the image: budgets on the lower hull of `mean_curve [M]`."""
    return Mixture(
        name="agnostic",
        budgets=budgets,
        usable=lower_hull(budgets, mean_curve),
        mean_budget=mean_budget,
        seed=seed,
    )


def fit_agnostic(config: AgnosticConfig, fitting: Fitting) -> Mixture:
    """The agnostic mixture of the judged images, known in hindsight."""
    return agnostic(
        fitting.budgets,
        mean_curve=fitting.judged.curves.mean(axis=0),
        mean_budget=config.mean_budget,
        seed=fitting.seed,
    )


@dataclass(frozen=True, kw_only=True)
class Shuffled:
    """The budgets of another allocation `[n]` of as many images, permuted at random."""

    chosen: np.ndarray
    seed: int
    name: str = "shuffled"
    sees = NOTHING

    def allocate(self, seen: Seen) -> Allocation:
        """Each image gets the budget of a random one."""
        return Allocation(shuffled_allocation(self.chosen, generator(self.seed, self.name)))
