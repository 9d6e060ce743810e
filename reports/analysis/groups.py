"""Records sorted into what they are of; the harness' groups of cells that differ in seeds only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from bench.config.allocators import OracleConfig
from bench.records.groups import (
    Group,
    group_by_seed,
    has_collapsed,
    is_allocation,
    is_policy,
    is_reconstruction,
    repetition_seed,
)
from bench.records.protocol import require_one_protocol
from bench.records.record import Record

__all__ = [
    "Group",
    "Record",
    "group_by_seed",
    "has_collapsed",
    "is_allocation",
    "is_policy",
    "is_reconstruction",
    "repetition_seed",
]


Value = TypeVar("Value")


def with_results(records: Iterable[Record]) -> list[Record]:
    """Records of cells that are done."""
    return [record for record in records if record.done]


def reconstructions(records: Iterable[Record]) -> list[Record]:
    """Records of cells that reconstruct images, with results or without."""
    return [record for record in records if is_reconstruction(record)]


def done_records(records: Iterable[Record]) -> list[Record]:
    """Records of reconstructions with results, all of one protocol; other kinds are left out.

    Raises:
        UserError: their protocols differ; names the field.
    """
    done = with_results(reconstructions(records))
    require_one_protocol([record.protocol for record in done])
    return done


def by_seed(pairs: Iterable[tuple[Record, Value]], *, path: str) -> dict[Any, list[Value]]:
    """Values of records put together by the records' seed at `path`."""
    found: dict[Any, list[Value]] = {}
    for record, value in pairs:
        found.setdefault(record.setting(path), []).append(value)
    return found


def is_elastic(record: Record) -> bool:
    """Whether the record is of an elastic tokenizer's curve over fixed budgets."""
    return not is_allocation(record) and len(record.config.tokenizer.budgets) > 1


def is_trained_here(record: Record) -> bool:
    """Whether the record's tokenizer is our own, not someone else's."""
    return record.config.trained_here is not None


def is_fixed_length(record: Record) -> bool:
    """Whether the record is of a tokenizer used at one length, by itself."""
    return not is_allocation(record) and not is_elastic(record)


def is_oracle(record: Record) -> bool:
    """Whether the record is of an allocation that sees the result."""
    return isinstance(record.config.allocator, OracleConfig)


def tokenizer_identity(record: Record) -> Any:
    """Settings that two records of the same trained tokenizer have in common."""
    parts = ("data", "tokenizer", "training", "finetuning")
    return [*map(record.setting, parts), _codesign(record)]


def on_tokenizers_of(some: Sequence[Record], records: Iterable[Record]) -> list[Record]:
    """The records of allocations on the tokenizers that `some` are of."""
    tokenizers = [tokenizer_identity(record) for record in some]
    return [r for r in records if is_allocation(r) and tokenizer_identity(r) in tokenizers]


def _codesign(record: Record) -> Any:
    """Settings of the co-design, with those of the policy that chose lengths."""
    settings = record.setting("codesign")
    return {**settings, "policy": record.setting("policy")} if fits_policy(record) else settings


def fits_policy(record: Record) -> bool:
    """Whether the record's tokenizer was trained at lengths that its own policy's settings gave."""
    settings = record.setting("codesign")
    return bool(settings) and not settings["policy"] and record.config.codesign.chooses


def protocol_line(records: Sequence[Record]) -> str:
    """`2000 validation images of 32 px, protocol 0123...`: under what the numbers were made."""
    record = with_results(records)[0]
    images = f"{record.protocol.images_count} validation images of {record.protocol.resolution} px"
    return f"{images}, protocol {record.protocol_hash}"
