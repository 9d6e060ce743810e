"""Cells that differ in their seeds only, put together: repetitions of one experiment."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records.record import Record
from bench.records.settings_paths import repetitions
from bench.statistics.intervals import StudentInterval, student_interval

# In the order in which they enter a result.
SEEDS = (
    "data.seed",
    "training.seed",
    "codesign.training.seed",
    "codesign.policy.seed",
    "finetuning.training.seed",
    "policy.seed",
    "evaluation.seed",
    "generation.training.seed",
    "generation.seed",
)


@dataclass(frozen=True)
class Group:
    """Cells of one arm that differ in seeds only: `label` names the rest."""

    label: str
    records: tuple[Record, ...]

    def by_seed(
        self, value: Callable[[Record], float | None], *, path: str | None = None
    ) -> dict[Any, float] | None:
        """A value per repetition; None where a record has no finite one.

        Repetitions are told apart by the seed at `path` (by default `repetition_seed`). Cells that
        share it, such as several policies on one trained tokenizer, are averaged: they are no
        repetitions of the training.
        """
        path = path or repetition_seed(self.records)
        values: dict[Any, list[float]] = {}
        for record in self.records:
            known = value(record)
            if known is None or not math.isfinite(known):
                return None
            values.setdefault(record.setting(path), []).append(known)
        return {seed: sum(each) / len(each) for seed, each in values.items()}

    def interval_of(self, value: Callable[[Record], float | None]) -> StudentInterval | None:
        """Student interval of a value over the repetitions; None where a record lacks it."""
        values = self.by_seed(value)
        return None if values is None else student_interval(list(values.values()))

    def interval(self, metric: str) -> StudentInterval | None:
        """Student interval of a metric over the repetitions; None where a record lacks it.

        Where both training and policy seeds vary, policies are first averaged per trained
        tokenizer, and `n` is the number of trained tokenizers, not of cells.
        """
        return self.interval_of(lambda record: record.metrics.value(metric))

    @property
    def repetitions(self) -> int:
        """How many independent repetitions the cells are: `n` of every interval."""
        path = repetition_seed(self.records)
        return len({record.setting(path) for record in self.records})

    @property
    def collapsed(self) -> bool:
        """Whether any seed's policy gives all images one budget."""
        return any(record.metrics.value("collapsed") for record in self.records)


def repetition_seed(records: Sequence[Record]) -> str:
    """Path of the seed that tells repetitions apart: the earliest in the pipeline that varies.

    A seed that some of the records do not have, as where only some have a policy, cannot.
    """
    for path in SEEDS:
        seeds = {record.setting(path) for record in records}
        if len(seeds) > 1 and None not in seeds:
            return path
    return "policy.seed" if all(map(is_policy, records)) else "training.seed"


def repetition_name(path: str) -> str:
    """`training seeds` of `training.seed`, `policy seeds` of `policy.seed`."""
    *above, part, _ = path.split(".")
    return "generator seeds" if "generation" in (*above, part) else f"{part} seeds"


def has_collapsed(record: Record) -> bool:
    """Whether a policy gives all images one budget, or one at which no skill is defined."""
    skill = record.metrics.value("allocation_skill")
    return bool(record.metrics.value("collapsed")) or skill is None or math.isnan(skill)


def is_reconstruction(record: Record) -> bool:
    """A record of reconstructed images, not of generated ones or of their throughput."""
    return record.kind == "reconstruction"


def is_policy(record: Record) -> bool:
    """A policy's allocation."""
    return record.config.policy is not None


def is_allocation(record: Record) -> bool:
    """An allocation of any kind: by a policy, a heuristic, a search, ..."""
    return record.config.allocates


def group_by_seed(records: Sequence[Record]) -> list[Group]:
    """Repetitions of one experiment put together, in the order of the suite's cells.

    Raises:
        UserError: two records of one label differ in more than seeds, as where a suite was edited.
    """
    return [Group(label, tuple(members)) for label, members in repetitions(records).items()]
