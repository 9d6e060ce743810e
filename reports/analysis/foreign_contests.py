"""Adaptive allocations set against fixed lengths of tokenizers that are not trained here.

An allocation meets each of them in its suite whose one length is the mean budget it was asked for,
if it comes to within 10 % of it on the judged images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.compare.unseeded import is_unseeded
from bench.config.allocators import AgnosticConfig
from reports.analysis.contests import Contest, contests, curves_of
from reports.analysis.entries import NEAR, asked_of
from reports.analysis.groups import (
    Group,
    Record,
    group_by_seed,
    is_allocation,
    is_fixed_length,
    is_oracle,
    is_policy,
    on_tokenizers_of,
    reconstructions,
    repetition_seed,
    tokenizer_identity,
    with_results,
)
from reports.analysis.names import allocator_words, tokenizer_names
from reports.analysis.systems import System, system_of


def all_contests(records: Sequence[Record], store: Path | None = None) -> list[Contest]:
    """Those against tokenizers trained for their length, then those against others' tokenizers."""
    return [*contests(list(records)), *foreign_contests(records, store)]


def foreign_contests(records: Sequence[Record], store: Path | None = None) -> list[Contest]:
    """One for each allocation and each fixed length of its asked mean budget.

    Where a tokenizer has policies at that budget, its other allocations stand beside them.
    """
    return [
        one for one in _contests(records, store) if _is_near(one.adaptive, one.lengths.values())
    ]


def too_far(records: Sequence[Record]) -> list[str]:
    """In words: allocations that are not set against a fixed length, since they miss it."""
    return [
        f"{one.label}: left out, since the adaptive side came to "
        f"{tokens:.2f} tokens, not to within {100 * NEAR:g} % of those asked for"
        for one in _contests(records, None)
        if (tokens := one.adaptive.mean("mean_tokens")) is not None
        and not _is_near(one.adaptive, one.lengths.values())
    ]


def _contests(records: Sequence[Record], store: Path | None) -> Iterator[Contest]:
    records = reconstructions(records)
    done = with_results(records)
    lengths = [record for record in done if is_fixed_length(record) and is_unseeded(record)]
    groups = [group for group in group_by_seed(records) if _can_choose(group.records[0])]
    for fixed in group_by_seed(lengths):
        length = fixed.records[0].config.tokenizer.max_tokens
        asked = [group for group in groups if asked_of(group.records[0]) == length]
        with_policy = [
            tokenizer_identity(group.records[0]) for group in asked if is_policy(group.records[0])
        ]
        for group in asked:
            first = group.records[0]
            if with_results(group.records) and (
                is_policy(first) or tokenizer_identity(first) not in with_policy
            ):
                yield _contest(group, fixed, length, done, store)


def _can_choose(record: Record) -> bool:
    """Whether it is an allocation that needs no knowledge of the result."""
    if not is_allocation(record) or is_oracle(record):
        return False
    return not isinstance(record.config.allocator, AgnosticConfig)


def _contest(
    group: Group, fixed: Group, length: int, done: list[Record], store: Path | None
) -> Contest:
    path, sources = repetition_seed(group.records), with_results(group.records)
    seeds = tuple(dict.fromkeys(record.setting(path) for record in sources))
    others = [
        record
        for record in on_tokenizers_of(sources, done)
        if record not in sources and asked_of(record) == asked_of(sources[0])
    ]
    one = fixed.records[0]
    tokenizer = tokenizer_names(done)[sources[0].cell_key]
    name = group.label if group.label == tokenizer else f"{tokenizer}, {group.label}"
    return Contest(
        label=f"{name} against {fixed.label}, {length} tokens",
        path=path,
        planned=tuple(dict.fromkeys(record.setting(path) for record in group.records)),
        lengths=dict.fromkeys(seeds, length),
        adaptive=system_of(allocator_words(sources[0]), sources, path=path),
        fixed=System(fixed.label, {seed: [one.metrics] for seed in seeds}, (one,)),
        allocations=tuple(sources),
        elastic=curves_of(sources, done, path=path),
        others=tuple(group_by_seed(others)),
        foreign=one,
        store=store,
    )


def _is_near(adaptive: System, lengths: Iterable[int]) -> bool:
    tokens = adaptive.mean("mean_tokens")
    return tokens is not None and all(abs(tokens / n - 1) <= NEAR for n in lengths)
