"""A budget that is read from the results of other cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class BudgetReference:
    """`budgets: {mean_budget_of: ARM, where: {...}, same: [...]}`: one budget, read from cells.

    The mean budget, averaged and rounded, of the arm's cells whose settings equal `where`, and
    equal this cell's own at every path of `same`: with `same: [training.seed]` the length goes
    with the policies of its own seed.
    """

    __pydantic_config__ = _STRICT

    mean_budget_of: str
    where: dict[str, Any] = field(default_factory=dict)
    same: tuple[str, ...] = ()
