"""Checks and strictness that all configurations share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar


class Strict:
    """Base of all settings: with it pydantic refuses unknown keys, which is not needed here."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}


def require(condition: bool, message: str) -> None:
    """Raise `ValueError(message)` unless `condition`; the message begins with the key."""
    if not condition:
        raise ValueError(message)


def require_budgets(key: str, budgets: Sequence[int], *, at_least: int) -> None:
    """Refuse budgets that are too few, below 1, or not strictly increasing."""
    require(len(budgets) >= at_least, f"{key}: needs {at_least} or more budgets")
    require(budgets[0] >= 1, f"{key}: the smallest must be 1 or more")
    increasing = all(a < b for a, b in itertools.pairwise(budgets))
    require(increasing, f"{key}: {list(budgets)} must increase strictly")
