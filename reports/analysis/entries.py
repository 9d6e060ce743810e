"""Tokenizers crossed with allocators: what each pair came to, over training seeds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from bench.compare.unseeded import is_unseeded
from bench.records.groups import repetition_name
from reports.analysis.groups import (
    Group,
    Record,
    group_by_seed,
    is_allocation,
    is_oracle,
    is_trained_here,
    reconstructions,
    repetition_seed,
    with_results,
)
from reports.analysis.names import system_names
from reports.analysis.systems import System, control_of, system_of

PATH = "training.seed"
NEAR = 0.1


@dataclass(frozen=True)
class Entry:
    """One allocator on one tokenizer, of `planned` training seeds; `system` has those finished.

    `path` is that of the seeds: of policies where the tokenizer is not trained here, and empty
    where nothing was trained. `agnostic` is the control of the same mean tokens that ignores the
    image; empty without one.
    """

    tokenizer: str
    allocator: str
    path: str
    planned: int
    system: System
    agnostic: System
    is_oracle: bool
    error: str | None

    @property
    def seeds(self) -> int:
        """Seeds with a result."""
        return len(self.system.metrics)

    def is_near(self, tokens: float | None) -> bool:
        """Whether its mean tokens are within 10 % of a number."""
        ours = self.system.mean("mean_tokens")
        return tokens is not None and ours is not None and abs(ours / tokens - 1) <= NEAR


def entries(records: list[Record]) -> list[Entry]:
    """An entry per group of cells that differ in seeds only, tokenizer by tokenizer."""
    records = reconstructions(records)
    groups = group_by_seed(records)
    names = system_names(groups)
    found = [_entry(group, *names[group.label]) for group in groups]
    own = [names[group.label][0] for group in groups if not is_allocation(group.records[0])]
    order = list(dict.fromkeys([*own, *(tokenizer for tokenizer, _ in names.values())]))
    return sorted(found, key=lambda entry: order.index(entry.tokenizer))


def _entry(group: Group, tokenizer: str, allocator: str) -> Entry:
    record = group.records[0]
    done, path = with_results(group.records), seed_path(group)
    errors = [r.error or r.status for r in group.records if not r.done]
    return Entry(
        tokenizer=tokenizer,
        allocator=allocator,
        path=path,
        planned=len({r.setting(path) for r in group.records}),
        system=_keyed(system_of(f"{tokenizer}: {allocator}", done, path=path), path),
        agnostic=_keyed(control_of("agnostic mixture", "agnostic", done, path=path), path),
        is_oracle=is_oracle(record),
        error=errors[0] if errors else None,
    )


def _keyed(system: System, path: str) -> System:
    """The system by seeds that never meet those of trainings, where they are others."""
    if path == PATH:
        return system
    name = repetition_name(path).removesuffix("s") if path else ""
    return replace(
        system, metrics={f"{name} {seed}".strip(): each for seed, each in system.metrics.items()}
    )


def seed_path(group: Group, *, by_training: bool = True) -> str:
    """The seed that tells a group's repetitions apart: by default the training's, where one was.

    It is empty where nothing was trained.
    """
    if all(map(is_unseeded, group.records)):
        return ""
    trained = by_training and is_trained_here(group.records[0])
    return PATH if trained else repetition_seed(group.records)


def asked_tokens(records: list[Record]) -> float | None:
    """The mean budget that most allocations were asked for."""
    asked = Counter(target for record in records if (target := asked_of(record)) is not None)
    return asked.most_common(1)[0][0] if asked else None


def asked_of(record: Record) -> float | None:
    """The mean budget that an allocation was asked for; None where it has other aims."""
    policy, allocator = record.config.policy, record.config.allocator
    return getattr(policy.weighting if policy else allocator, "mean_budget", None)
