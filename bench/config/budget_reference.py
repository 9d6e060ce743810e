"""A tokenizer's length that is read from the result of other cells of its suite."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from adatok_core.config.checks import Strict


@dataclass(frozen=True, kw_only=True)
class BudgetReference(Strict):
    """`budgets: {mean_budget_of: ARM, where: {...}, same: [...]}`: one budget, read from cells.

    The mean budget, averaged and rounded, of the arm's cells whose settings equal `where`, and
    equal this cell's own at every path of `same`: with `same: [training.seed]` the length goes
    with the policies of its own seed.
    """

    mean_budget_of: str
    where: dict[str, Any] = field(default_factory=dict)
    same: tuple[str, ...] = ()
