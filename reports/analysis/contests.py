"""Adaptive allocations set against fixed lengths: tokenizers that were trained for their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.allocators.allocation import lower_hull
from bench.compare.paired import Difference
from bench.compare.unseeded import is_unseeded, mean_image_differences, to_unseeded
from bench.config.budget_reference import BudgetReference
from bench.metrics.declared import METRICS
from bench.records.groups import repetition_name
from reports.analysis.groups import (
    Group,
    Record,
    group_by_seed,
    has_collapsed,
    is_allocation,
    is_elastic,
    on_tokenizers_of,
    reconstructions,
    repetition_seed,
    tokenizer_identity,
    with_results,
)
from reports.analysis.names import allocator_words, control_words
from reports.analysis.systems import System, control_of, difference, moved, system_of

CONTROLS = ("fixed", "agnostic", "shuffled", "oracle")


@dataclass(frozen=True)
class Contest:
    """One arm of fixed lengths, and the allocations that its lengths come from.

    `path` is the seed that pairs the two: the training's, unless another one varies. `lengths` are
    of the finished tokenizers, by seed; `planned` are all seeds of the arm, `elastic` the curves
    of the adaptive side's tokenizers, `others` further allocations on them.

    Where the fixed length is of a tokenizer that is not trained here, `foreign` is its record and
    `path` the seed of the adaptive side alone, each of whose seeds meets the one result; images
    pair the two, from tables in the `store`, if it is known and has them.
    """

    label: str
    path: str
    planned: tuple[Any, ...]
    lengths: dict[Any, int]
    adaptive: System
    fixed: System
    allocations: tuple[Record, ...]
    elastic: dict[Any, Record]
    others: tuple[Group, ...]
    foreign: Record | None = None
    store: Path | None = None

    @property
    def repetitions(self) -> str:
        """`training seeds`, `policy seeds`: what repeats the adaptive side; `cells` without any."""
        return "cells" if self.is_seedless else repetition_name(self.path)

    @property
    def is_seedless(self) -> bool:
        """Whether nothing was trained for the adaptive side either."""
        return all(map(is_unseeded, self.allocations))

    @property
    def alone(self) -> str:
        """In words: the reason why a difference has no interval."""
        return "one seed" if self.foreign is None else "no interval"

    @property
    def fixed_once(self) -> System:
        """The fixed length, its one result counted once where nothing repeats it."""
        if self.foreign is None:
            return self.fixed
        return replace(self.fixed, metrics=dict([*self.fixed.metrics.items()][:1]))

    def difference(self, system: System, metric: str) -> Difference:
        """A system minus the fixed length in one metric, its `p` not corrected."""
        theirs = list(self.fixed.values(metric).values())
        if self.foreign is None or not theirs:
            return difference(system, self.fixed, metric)
        ours = system.values(metric)
        higher = bool(METRICS[metric].higher_is_better)
        images, path = self._by_image(system, metric), system.path or self.path
        return to_unseeded(ours, theirs[0], images, path=path, higher_is_better=higher)

    def _by_image(self, system: System, metric: str) -> np.ndarray | None:
        """Differences of single images, the mean over seeds with a value; None where not known."""
        if self.foreign is None or self.store is None:
            return None
        cells: dict[Any, list[tuple[Record, Path]]] = {}
        for record in system.records:
            seed = record.setting(system.path)
            if seed in system.values(metric):
                cells.setdefault(seed, []).append((record, self.store))
        return mean_image_differences(cells, (self.foreign, self.store), metric)

    @property
    def paired(self) -> list[Any]:
        """Seeds that have both sides."""
        return [seed for seed in self.lengths if seed in self.adaptive.metrics]

    @property
    def collapsed(self) -> list[Any]:
        """Seeds with a policy that gives all images one budget."""
        return [r.setting(self.path) for r in self.allocations if has_collapsed(r)]

    def equal_tokens(self, metric: str) -> System:
        """The adaptive side in one metric, moved to exactly the fixed length's tokens.

        By as much as the best mixture of fixed budgets of the same tokenizer changes between the
        two. Seeds whose curve or length is not known are left out.
        """

        def by(seed: Any, value: float) -> float | None:
            if seed not in self.lengths or seed not in self.elastic:
                return None
            tokens = self.adaptive.values("mean_tokens")[seed]
            change = _curve_change(self.elastic[seed], self._candidates, metric,
                                   tokens, self.lengths[seed])  # fmt: skip
            return None if change is None else value + change

        return moved(self.adaptive, metric, by)

    @property
    def _candidates(self) -> Sequence[int] | None:
        config = self.allocations[0].config
        return (config.policy or config.allocator).candidates

    def control(self, name: str) -> System:
        """A control of the adaptive side."""
        return control_of(control_words(name), name, self.allocations, path=self.path)

    def controls(self) -> list[System]:
        """All controls of the adaptive side, the four that every allocation has first."""
        found = dict.fromkeys(name for r in self.allocations for name in r.controls)
        names = [name for name in CONTROLS if name in found]
        return [self.control(name) for name in (*names, *(n for n in found if n not in names))]

    def rivals(self) -> list[System]:
        """The further allocations on the same tokenizers."""
        names = [allocator_words(group.records[0]) for group in self.others]
        return [
            system_of(
                name if names.count(name) == 1 else group.label,
                group.records,
                path=self.path if self.foreign is None else repetition_seed(group.records),
            )
            for name, group in zip(names, self.others, strict=True)
        ]


def contests(records: list[Record]) -> list[Contest]:
    """One for each arm whose length comes from the mean budget of others; some may lack results."""
    records = reconstructions(records)
    waiting = group_by_seed([record for record in records if record.length_from])
    return [found for group in waiting if (found := _contest(group, records)) is not None]


def _contest(group: Group, records: list[Record]) -> Contest | None:
    done = with_results(records)
    reference, path = group.records[0].length_from, repetition_seed(group.records)
    sources = [record for record in done if _is_source(record, reference)]
    if not sources:
        return None
    fixed = with_results(group.records)
    others = [record for record in on_tokenizers_of(sources, done) if record not in sources]
    return Contest(
        label=f"{reference.mean_budget_of} against {group.label}",
        path=path,
        planned=tuple(dict.fromkeys(record.setting(path) for record in group.records)),
        lengths={r.setting(path): r.config.tokenizer.max_tokens for r in fixed},
        adaptive=system_of(allocator_words(sources[0]), sources, path=path),
        fixed=system_of("trained for that length", fixed, path=path),
        allocations=tuple(sources),
        elastic=curves_of(sources, done, path=path),
        others=tuple(group_by_seed(others)),
    )


def curves_of(
    allocations: Sequence[Record], done: Sequence[Record], *, path: str
) -> dict[Any, Record]:
    """Curves of the allocations' own tokenizers, where they have one, by the allocation's seed."""
    curves = {repr(tokenizer_identity(record)): record for record in done if is_elastic(record)}
    found = {}
    for record in allocations:
        if (curve := curves.get(repr(tokenizer_identity(record)))) is not None:
            found[record.setting(path)] = curve
    return found


def _is_source(record: Record, reference: BudgetReference) -> bool:
    return (
        record.arm == reference.mean_budget_of
        and is_allocation(record)
        and all(record.setting(path) == value for path, value in reference.where.items())
    )


def _curve_change(
    elastic: Record, candidates: Sequence[int] | None, metric: str, start: float, end: float
) -> float | None:
    """Change of the best mixture of fixed budgets from `start` to `end` tokens."""
    rows = [
        row
        for row in elastic.curve
        if row.trained and (candidates is None or row.budget in candidates)
    ]
    if not rows or any(row.value(metric) is None for row in rows):
        return None
    budgets = np.array([row.budget for row in rows], dtype=np.float64)
    values = np.array([row.value(metric) for row in rows], dtype=np.float64)
    if not budgets[0] <= min(start, end) <= max(start, end) <= budgets[-1]:
        return None
    hull = lower_hull(budgets, values)
    at_end, at_start = np.interp([end, start], budgets[hull], values[hull])
    return float(at_end - at_start)
