"""Equal-slope choice (Shoham & Gersho 1988): one price per token for all images."""

from __future__ import annotations

import numpy as np

from bench.allocators.allocation import require_within

HALVINGS = 100


def choose(curves: np.ndarray, budgets: np.ndarray, price: float) -> np.ndarray:
    """Columns `[n]` that minimise `curves [n, M] + price * budgets [M]`; ties take fewer tokens."""
    chosen: np.ndarray = (curves + price * budgets).argmin(axis=1)
    return chosen


def price_meeting(curves: np.ndarray, budgets: np.ndarray, mean_budget: float) -> float:
    """The price at which `choose` spends `mean_budget` tokens per image, as nearly as it can.

    It is negative where distortion has to rise with tokens. Images of one curve turn together, so
    the mean moves in steps. The choice is made with the very numbers that it is searched with.

    Raises:
        UserError: the mean lies outside the budgets.
    """
    mean_budget = require_within(mean_budget, budgets[0], budgets[-1])

    def spent(price: float) -> float:
        return float(budgets[choose(curves, budgets, price)].mean())

    # At these every image takes the largest, or the smallest budget.
    reach = 2 * float(np.ptp(curves)) / float(np.diff(budgets).min()) or 1.0
    low, high = -reach, reach
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > mean_budget else (low, middle)
    return min((low, high), key=lambda price: abs(spent(price) - mean_budget))
