"""Allocations sorted by tokenizer, in an order that does not depend on how records were read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from reports.analysis.groups import (
    Group,
    Record,
    group_by_seed,
    has_collapsed,
    is_allocation,
    is_elastic,
    is_policy,
    tokenizer_identity,
    with_results,
)
from reports.analysis.names import natural, system_label, tokenizer_family
from reports.paper.style import look_of


@dataclass(frozen=True)
class Allocated:
    """One allocation on one tokenizer, over its seeds; `tokenizer` is empty where it is unknown."""

    tokenizer: str
    system: str
    group: Group

    @property
    def collapsed(self) -> int:
        """Number of its records that give all images one budget."""
        return sum(map(has_collapsed, self.group.records))


def allocations(records: Iterable[Record]) -> list[Allocated]:
    """All allocations that have a result: policies first, then by tokenizer and system.

    A tokenizer is known by the record of its own curve.
    """
    records = with_results(records)
    families = {
        repr(tokenizer_identity(record)): tokenizer_family(record)
        for record in records
        if is_elastic(record)
    }
    found = []
    for group in group_by_seed([record for record in records if is_allocation(record)]):
        family = families.get(repr(tokenizer_identity(group.records[0])), "")
        found.append(Allocated(family, system_label(group.records[0], family), group))

    def order(one: Allocated) -> tuple[Any, ...]:
        policies = is_policy(one.group.records[0])
        return natural(one.tokenizer), not policies, natural(one.system)

    return sorted(found, key=order)


def claim_colours(systems: Iterable[str]) -> None:
    """Let these systems take the next colours, in their natural order."""
    for system in sorted(set(systems), key=natural):
        look_of(system)
