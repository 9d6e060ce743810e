"""Tokenizers crossed with allocators: what each pair came to, over training seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bench.metrics.declared import METRICS
from reports.analysis.allocators import allocator_words
from reports.analysis.groups import (
    Group,
    Record,
    group_by_seed,
    is_allocation,
    is_reconstruction,
    setting,
    tokenizer_identity,
)
from reports.analysis.systems import LEVEL, System, control_of, corrected, difference, system_of

PATH = "training.seed"
ALL_TOKENS, ONE_LENGTH = "all tokens", "its one length"
NEAR = 0.1


@dataclass(frozen=True)
class Entry:
    """One allocator on one tokenizer, of `planned` training seeds; `system` has those finished.

    `agnostic` is the control of the same mean tokens that ignores the image; empty without one.
    """

    tokenizer: str
    allocator: str
    planned: int
    system: System
    agnostic: System
    is_oracle: bool
    error: str | None

    @property
    def seeds(self) -> int:
        """Training seeds with a result."""
        return len(self.system.metrics)

    def is_near(self, tokens: float | None) -> bool:
        """Whether its mean tokens are within 10 % of a number."""
        over = self.system.interval("mean_tokens")
        return tokens is not None and over is not None and abs(over.mean / tokens - 1) <= NEAR


def entries(records: list[Record]) -> list[Entry]:
    """An entry per group of cells that differ in seeds only, tokenizer by tokenizer."""
    records = [record for record in records if is_reconstruction(record)]
    names = {
        repr(tokenizer_identity(record)): record["arm"]
        for record in records
        if not is_allocation(record)
    }
    found = [_entry(group, names) for group in group_by_seed(records)]
    order = list(dict.fromkeys([*names.values(), *(entry.tokenizer for entry in found)]))
    return sorted(found, key=lambda entry: order.index(entry.tokenizer))


def _entry(group: Group, names: dict[str, str]) -> Entry:
    record = group.records[0]
    done = [r for r in group.records if r["status"] == "done"]
    allocates = is_allocation(record)
    budgets = setting(record, "tokenizer.budgets")
    words = allocator_words(record) if allocates else (ONE_LENGTH, ALL_TOKENS)[len(budgets) > 1]
    label = f"{names.get(repr(tokenizer_identity(record)), record['arm'])}: {words}"
    errors = [r["error"] or r["status"] for r in group.records if r["status"] != "done"]
    return Entry(
        tokenizer=names.get(repr(tokenizer_identity(record)), record["arm"]),
        allocator=words,
        planned=len({setting(r, PATH) for r in group.records}),
        system=system_of(label, done, path=PATH),
        agnostic=control_of("agnostic mixture", "agnostic", done, path=PATH),
        is_oracle=setting(record, "allocator.kind") == "oracle",
        error=errors[0] if errors else None,
    )


def asked_tokens(records: list[Record]) -> float | None:
    """The mean budget that most allocations were asked for."""
    asked = Counter(
        target
        for record in records
        for path in ("allocator.mean_budget", "policy.weighting.mean_budget")
        if (target := setting(record, path)) is not None
    )
    return asked.most_common(1)[0][0] if asked else None


class HasSystem(Protocol):
    """What can be tied with another: it has a system."""

    @property
    def system(self) -> System:
        """Its metrics by seed."""


Contender = TypeVar("Contender", bound=HasSystem)


def tied_with_best(family: Sequence[Contender], metric: str) -> list[Contender]:
    """The entry with the best mean, and those not significantly worse.

    Differences to the best are paired by seed, their p corrected by Holm over the family. Nothing
    is marked in a family of one, or with fewer than two seeds in common with the best.
    """
    known = [entry for entry in family if entry.system.values(metric)]
    if len(known) < 2:
        return []
    sign = -1 if METRICS[metric].higher_is_better else 1
    best = min(known, key=lambda entry: sign * entry.system.interval(metric).mean)
    others = [entry for entry in known if entry is not best]
    differences = corrected([difference(o.system, best.system, metric) for o in others])
    tested = [
        (entry, one)
        for entry, one in zip(others, differences, strict=True)
        if one.paired is not None and one.paired.n > 1
    ]
    if not tested:
        return []
    return [best, *(entry for entry, one in tested if one.p > LEVEL)]
