"""The price of a token at which the arg-max of scores meets a constraint."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BISECTIONS = 50
ROUNDING = 1e-6


def price_for(scores: Tensor, efficiency: Tensor, overspent: Callable[[Tensor], float]) -> float:
    """The number `p` for which `argmax_m (scores [n, M] + p * efficiency [M])` fits best.

    `overspent(columns [n])` is positive where the chosen budgets must shrink; it falls as `p`
    rises, in steps, since the arg-max is discrete. Equal slope on the policy's own scores (Shoham &
    Gersho 1988).
    """

    def excess(price: float) -> float:
        return overspent((scores + price * efficiency).argmax(-1))

    reach = 2 * float((scores.max() - scores.min()) / efficiency.diff().abs().min()) or 1.0
    low, high = -reach, reach
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    # Images that look alike all turn here: whoever adds the price up must not round them back.
    margin = ROUNDING * reach
    return min((low - margin, high + margin), key=lambda price: abs(excess(price)))


def overspending(
    *, budgets: Tensor, fidelity: Tensor, mean_budget: float | None, quality_drop: float | None
) -> Callable[[Tensor], float]:
    """The overspending of chosen columns `[n]`, of images with `fidelity [n, M]`.

    Raises `ValueError` for a constraint on neither.
    """
    if mean_budget is not None:
        return lambda columns: budgets[columns].mean().item() - mean_budget
    if quality_drop is None:
        raise ValueError("mean_budget, quality_drop: a constraint needs one of them")
    rows = torch.arange(len(fidelity))
    return lambda columns: quality_drop - (fidelity[:, -1] - fidelity[rows, columns]).mean().item()
