"""Checks and strictness that all configurations share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import Field, field
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")
LATER = "later"


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


def require_shares(batch: int, *, parts: int = 1, ranks: int) -> None:
    """Refuse a batch whose `parts` micro-batches cannot be shared out equally to `ranks`."""
    of = f"in {parts} micro-batches " if parts > 1 else ""
    require(
        batch % (parts * ranks) == 0,
        f"batch: {batch} {of}cannot be shared out to {ranks} ranks; make it a multiple of "
        f"{parts * ranks}, or change the number of ranks",
    )


def later(default: T) -> T:
    """A setting that came later than others: at its default it leaves no trace (`traceless`).

    So the keys of what was made before it stay as they were.
    """
    return field(default=default, metadata={LATER: True})


def traceless(owner: Any, one: Field[Any]) -> bool:
    """Whether the field `one` of the dataclass `owner` came later and is at its default."""
    return LATER in one.metadata and bool(getattr(owner, one.name) == one.default)
