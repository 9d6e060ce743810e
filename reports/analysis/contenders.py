"""Contenders of the main comparison: fixed budgets, fixed lengths and allocations, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bench.records.groups import repetition_name
from reports.analysis.entries import NEAR, asked_tokens, seed_path
from reports.analysis.groups import (
    Group,
    Record,
    group_by_seed,
    has_collapsed,
    is_allocation,
    is_elastic,
    is_oracle,
    with_results,
)
from reports.analysis.names import FIXED_BUDGET, system_names
from reports.analysis.systems import System, curve_system, system_of
from reports.paper.drawing import UNTRAINED


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
        """`5 training seeds`, or `2 of 3 training seeds`; `none` where nothing was trained."""
        if not self.path:
            return "none"
        name, done = repetition_name(self.path), len(self.system.metrics)
        name = name.removesuffix("s") if self.planned == 1 else name
        return f"{done} of {self.planned} {name}".removeprefix(f"{self.planned} of ")

    @property
    def tokens(self) -> float | None:
        """Mean tokens over its seeds; None without a result."""
        return self.system.mean("mean_tokens")


def contenders(records: Sequence[Record]) -> list[Contender]:
    """All of a suite's, tokenizer by tokenizer, fixed budgets before allocations."""
    groups = group_by_seed(list(records))
    names = system_names(groups)
    trainings = {r.setting("training.seed") for group in groups for r in group.records} - {None}
    paths = [seed_path(group, by_training=len(trainings) > 1) for group in groups]
    found = [
        one
        for group, path in zip(groups, paths, strict=True)
        for one in _of_group(group, *names[group.label], path)
    ]
    order = list(dict.fromkeys(tokenizer for tokenizer, _ in names.values()))
    return sorted(found, key=lambda one: order.index(one.tokenizer))


def near_tokens(found: Sequence[Contender], records: Sequence[Record]) -> list[float]:
    """The numbers of tokens at which contenders are compared: fixed budgets, and the one asked."""
    budgets = {row.budget for record in records for row in record.curve}
    asked = asked_tokens(list(records))
    return sorted(budgets | ({asked} if asked is not None else set()))


def nearest(contender: Contender, numbers: Sequence[float]) -> float | None:
    """The number of tokens that it is compared at: the nearest, if within 10 % of it."""
    tokens = contender.tokens
    if tokens is None or not numbers:
        return None
    best = min(numbers, key=lambda number: abs(tokens / number - 1))
    return best if abs(tokens / best - 1) <= NEAR else None


def _of_group(group: Group, name: str, words: str, path: str) -> list[Contender]:
    done, first = with_results(group.records), group.records[0]
    missing = [record for record in group.records if not record.done]
    contender = partial(
        Contender,
        tokenizer=name,
        path=path,
        planned=len({record.setting(path) for record in group.records}),
        cells=tuple(record.cell_key for record in group.records),
        status=missing[0].status if missing and not done else "done",
        error=(missing[0].error or "not run") if missing else "",
    )
    rows = [row for record in done for row in record.curve]
    budgets = sorted({row.budget for row in rows})
    if done and is_elastic(first) and len(budgets) > 1:
        untrained = {row.budget for row in rows if not row.trained}
        return [
            contender(
                allocation=(fixed := f"{FIXED_BUDGET} {budget}"),
                system=_named(curve_system(f"{name}: {fixed}", done, budget, path=path), path),
                budget=budget,
                remark=UNTRAINED if budget in untrained else "",
            )
            for budget in budgets
        ]
    collapsed = sum(map(has_collapsed, done)) if is_allocation(first) else 0
    return [
        contender(
            allocation=words,
            system=_named(system_of(f"{name}: {words}", done, path=path), path),
            is_oracle=is_oracle(first),
            remark=f"{collapsed} of {len(done)} collapsed to one budget" if collapsed else "",
        )
    ]


def _named(system: System, path: str) -> System:
    return System(system.label, {(path, seed): each for seed, each in system.metrics.items()})
