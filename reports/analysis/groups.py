"""Records sorted into what they are, and how they are called."""

from __future__ import annotations

from typing import Any

from bench.records.groups import (
    Group,
    Record,
    group_by_seed,
    has_collapsed,
    is_allocation,
    is_policy,
    is_reconstruction,
    repetition_seed,
    setting,
)
from bench.records.protocol import require_one_protocol
from bench.suite.labels import describe, describe_sweep

__all__ = [
    "Group",
    "Record",
    "group_by_seed",
    "has_collapsed",
    "is_allocation",
    "is_policy",
    "is_reconstruction",
    "repetition_seed",
    "setting",
]

TOKENIZER_PARTS = ("tokenizer.", "training.", "finetuning.")
AIMS = ("mean_budget", "quality_drop", "efficiency")


def done_records(records: list[Record]) -> list[Record]:
    """Records of reconstructions with results, all of one protocol; other kinds are left out.

    Raises:
        UserError: their protocols differ; names the field.
    """
    done = [r for r in records if r.done and is_reconstruction(r)]
    require_one_protocol([record.protocol for record in done])
    return done


def is_elastic(record: Record) -> bool:
    """An elastic tokenizer's curve over fixed budgets."""
    return not is_allocation(record) and len(record.config.tokenizer.budgets) > 1


def is_fixed_length(record: Record) -> bool:
    """A tokenizer trained for one length."""
    return not is_allocation(record) and not is_elastic(record)


def tokenizer_identity(record: Record) -> Any:
    """What two records of the same trained tokenizer have in common."""
    return [record.setting(part) for part in ("data", "tokenizer", "training", "finetuning")]


def tokenizer_label(record: Record) -> str:
    """A short name of a tokenizer: its arm, and what was swept of it."""
    named = describe_sweep(record.swept, under=TOKENIZER_PARTS)
    return f"{record['arm']}, {named}" if named else record.arm


def tokenizer_family(record: Record) -> str:
    """The tokenizer's name without its seeds: trainings that differ in nothing else share it."""
    named = describe_sweep(record.swept, under=TOKENIZER_PARTS, seeds=False)
    return f"{record['arm']}, {named}" if named else record.arm


def allocation_label(record: Record) -> str:
    """What distinguishes an allocation among those on its tokenizer, without its seed."""
    if not is_policy(record):
        name = allocator_name(record)
        return name if record.arm in name.split() else f"{record['arm']}, {name}"
    named = describe_sweep(record.swept, under=("policy.",), seeds=False)
    return f"{record['arm']}, {named}" if named else record.arm


def system_label(record: Record, tokenizer: str) -> str:
    """The allocation's label beside its tokenizer, whose name it does not repeat."""
    label = allocation_label(record)
    return label.removeprefix(f"{tokenizer}, ") if label != tokenizer else label


def allocator_name(record: Record) -> str:
    """`png_size 6`, `threshold scan 6`, `threshold bisection distortion 0.01`: kind and aim."""
    allocator = record.settings["allocator"]
    given = {key: value for key, value in allocator.items() if value is not None}
    words = [given.pop("kind"), *([given.pop("search")] if "search" in given else [])]
    words += [f"{given.pop(key):g}" for key in ("mean_budget", "target") if key in given]
    return " ".join([*words, *(f"{key} {describe(value)}" for key, value in given.items())])


def weighting_name(record: Record) -> str:
    """`fixed 0.5`, `constraint 6`, `gradient 0.5, floor 0.1`: kind, aim, and what was swept of it.

    Two groups of one arm that differ in their weighting have two names.
    """
    weighting, swept = record.setting("policy.weighting"), record.swept
    named = {path.split(".")[2] for path in swept if path.startswith("policy.weighting.")}
    named |= set(swept.get("policy.weighting", ()))
    aims = [key for key in AIMS if weighting.get(key) is not None]
    others = [key for key in weighting if key in named and key not in ("kind", *AIMS)]
    drop = ["drop"] if "quality_drop" in aims else []
    name = " ".join([weighting["kind"], *drop, *(f"{weighting[key]:g}" for key in aims)])
    return ", ".join([name, *(f"{key} {describe(weighting[key])}" for key in others)])
