"""What the main comparison compares: fixed budgets, fixed lengths and allocations, over seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.records.groups import repetition_name
from reports.analysis.allocators import allocator_words
from reports.analysis.entries import ONE_LENGTH, asked_tokens
from reports.analysis.groups import (
    Group,
    Record,
    allocation_label,
    group_by_seed,
    has_collapsed,
    is_allocation,
    repetition_seed,
    setting,
    tokenizer_identity,
)
from reports.analysis.systems import System, system_of
from reports.paper.drawing import UNTRAINED

NEAR = 0.1
ORACLE = "oracle"


@dataclass(frozen=True)
class Contender:
    """One way to spend tokens, over its seeds; `system` has those with a result, of `planned`.

    Seeds are called by their path and value, so that a policy's seed never meets a training's.
    `budget` is that of a fixed budget; `remark` what must be said beside it; `error` why a cell of
    it has no result.
    """

    tokenizer: str
    allocation: str
    system: System
    path: str
    planned: int
    cells: tuple[str, ...]
    is_oracle: bool = False
    budget: int | None = None
    remark: str = ""
    status: str = "done"
    error: str = ""

    @property
    def seeds(self) -> str:
        """`5 training seeds`, or `2 of 3 training seeds` where one has no result."""
        name, done = repetition_name(self.path), len(self.system.metrics)
        name = name.removesuffix("s") if self.planned == 1 else name
        return (
            f"{self.planned} {name}" if done == self.planned else f"{done} of {self.planned} {name}"
        )

    @property
    def tokens(self) -> float | None:
        """Mean tokens over its seeds; None without a result."""
        over = self.system.interval("mean_tokens")
        return None if over is None else over.mean


def contenders(records: Sequence[Record]) -> list[Contender]:
    """All of a suite's, tokenizer by tokenizer, fixed budgets before allocations."""
    groups = group_by_seed(list(records))
    of_cell = tokenizer_names(records)
    names = {group.label: of_cell[group.records[0]["cell_key"]] for group in groups}
    paths = _paths(groups)
    said = Counter((names[group.label], _words(group)) for group in groups)
    found: list[Contender] = []
    for group in groups:
        name, words = names[group.label], _words(group)
        if is_allocation(group.records[0]) and said[name, words] > 1:
            words = allocation_label(group.records[0])
        found += _of_group(group, name, words, paths[group.label])
    order = list(dict.fromkeys(names.values()))
    return sorted(found, key=lambda one: order.index(one.tokenizer))


def tokenizer_key(record: Record) -> str:
    """What records of one tokenizer, trained with whatever seed, have in common."""
    data, *parts = tokenizer_identity(record)
    return repr([data, *map(_seedless, parts)])


def _seedless(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {key: _seedless(value) for key, value in part.items() if key != "seed"}


def tokenizer_names(records: Sequence[Record]) -> dict[str, str]:
    """Names of tokenizers by cell key: as the tokenizer's own cells are called, else the arm."""
    own: dict[str, str] = {}
    for record in records:
        if not is_allocation(record):
            own.setdefault(tokenizer_key(record), record["group"])
    return {
        record["cell_key"]: own.get(tokenizer_key(record), record["arm"])
        if is_allocation(record)
        else record["group"]
        for record in records
    }


def near_tokens(found: Sequence[Contender], records: Sequence[Record]) -> list[float]:
    """The numbers of tokens at which contenders are compared: fixed budgets, and the one asked."""
    budgets = {row["budget"] for r in records for row in r.get("curve", [])}
    asked = asked_tokens(list(records))
    return sorted(budgets | ({asked} if asked is not None else set()))


def nearest(contender: Contender, numbers: Sequence[float]) -> float | None:
    """The number of tokens that it is compared at: the nearest, if within 10 % of it."""
    tokens = contender.tokens
    if tokens is None or not numbers:
        return None
    best = min(numbers, key=lambda number: abs(tokens / number - 1))
    return best if abs(tokens / best - 1) <= NEAR else None


def _paths(groups: Sequence[Group]) -> dict[str, str]:
    """The seed that tells a group's repetitions apart; the training's wherever that varies."""
    trainings = {setting(r, "training.seed") for group in groups for r in group.records}
    return {
        group.label: "training.seed" if len(trainings) > 1 else repetition_seed(group.records)
        for group in groups
    }


def _words(group: Group) -> str:
    record = group.records[0]
    return allocator_words(record) if is_allocation(record) else ONE_LENGTH


def _of_group(group: Group, name: str, words: str, path: str) -> list[Contender]:
    done = [record for record in group.records if record["status"] == "done"]
    missing = [record for record in group.records if record["status"] != "done"]
    shared: dict[str, Any] = {
        "path": path,
        "planned": len({setting(record, path) for record in group.records}),
        "cells": tuple(record["cell_key"] for record in group.records),
        "status": missing[0]["status"] if missing and not done else "done",
        "error": (missing[0]["error"] or "not run") if missing else "",
    }
    budgets = list(dict.fromkeys(row["budget"] for r in done for row in r["curve"]))
    if done and not is_allocation(group.records[0]) and len(budgets) > 1:
        return [_fixed_budget(name, done, budget, shared) for budget in sorted(budgets)]
    collapsed = sum(map(has_collapsed, done)) if is_allocation(group.records[0]) else 0
    remark = f"{collapsed} of {len(done)} collapsed to one budget" if collapsed else ""
    oracle = setting(group.records[0], "allocator.kind") == ORACLE
    system = _named(system_of(f"{name}: {words}", done, path=path), path)
    return [Contender(name, words, system, is_oracle=oracle, remark=remark, **shared)]


def _fixed_budget(name: str, done: list[Record], budget: int, shared: dict[str, Any]) -> Contender:
    rows: list[Record] = []
    untrained = False
    for record in done:
        for row in record["curve"]:
            if row["budget"] == budget:
                untrained = untrained or not row.get("trained", True)
                rows.append({**record, "metrics": row})
    words = f"fixed budget {budget}"
    system = _named(system_of(f"{name}: {words}", rows, path=shared["path"]), shared["path"])
    return Contender(
        name, words, system, budget=budget, remark=UNTRAINED if untrained else "", **shared
    )


def _named(system: System, path: str) -> System:
    return System(system.label, {(path, seed): each for seed, each in system.metrics.items()})
