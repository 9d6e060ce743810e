"""Names of tokenizers, allocations and weightings: one vocabulary for figures, tables and page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.config.allocators import OwnConfig, ThresholdConfig
from bench.records.record import Record
from bench.suite.labels import describe, describe_sweep
from reports.analysis.groups import (
    Group,
    fits_policy,
    group_by_seed,
    is_allocation,
    is_elastic,
    is_policy,
    tokenizer_identity,
)

TOKENIZER_PARTS = ("tokenizer.", "training.", "codesign.", "finetuning.")
AIMS = ("mean_budget", "quality_drop", "efficiency")
ALL_TOKENS, ONE_LENGTH, FIXED_BUDGET = "all tokens", "its one length", "fixed budget"
WORDS = {
    "agnostic": "agnostic mixture",
    "shuffled": "shuffled over the images",
    "fixed": FIXED_BUDGET,
    "png_size": "PNG size",
    "threshold_scan": "threshold, scan",
    "threshold_bisection": "threshold, bisection",
    "own": "its own halting",
}


def tokenizer_label(record: Record, *, seeds: bool = True) -> str:
    """Name of one tokenizer: its arm, and what was swept of it."""
    parts = (*TOKENIZER_PARTS, "policy.") if fits_policy(record) else TOKENIZER_PARTS
    return _swept(record, parts, seeds=seeds)


def tokenizer_family(record: Record) -> str:
    """The tokenizer's name without its seeds: trainings that differ in nothing else share it."""
    return tokenizer_label(record, seeds=False)


def tokenizer_names(records: Sequence[Record]) -> dict[str, str]:
    """Names of tokenizers by cell key: as the tokenizer's own cells are called, else the arm."""
    own: dict[str, str] = {}
    for record in records:
        if not is_allocation(record):
            own.setdefault(tokenizer_key(record), record.group)
    return {
        record.cell_key: own.get(tokenizer_key(record), record.arm)
        if is_allocation(record)
        else record.group
        for record in records
    }


def system_names(groups: Sequence[Group]) -> dict[str, tuple[str, str]]:
    """Names of tokenizer and allocation of each group, by its label.

    Allocations on one tokenizer that have the same words are told apart by their settings.
    """
    of_cell = tokenizer_names([record for group in groups for record in group.records])
    firsts = {group.label: group.records[0] for group in groups}
    names = {label: (of_cell[one.cell_key], _words(one)) for label, one in firsts.items()}
    said = Counter(names.values())
    return {
        label: (name[0], allocation_label(firsts[label]))
        if said[name] > 1 and is_allocation(firsts[label])
        else name
        for label, name in names.items()
    }


def _words(record: Record) -> str:
    if is_allocation(record):
        return allocator_words(record)
    return ALL_TOKENS if is_elastic(record) else ONE_LENGTH


def tokenizer_key(record: Record) -> str:
    """Settings that records of one tokenizer share, trained with whatever seed."""
    data, *parts = tokenizer_identity(record)
    return repr([data, *map(_seedless, parts)])


def allocation_label(record: Record) -> str:
    """Name of an allocation among those on its tokenizer, without its seed."""
    if is_policy(record):
        return _swept(record, ("policy.",), seeds=False)
    name = allocator_name(record)
    return name if record.arm in name.split() else f"{record.arm}, {name}"


def system_label(record: Record, tokenizer: str) -> str:
    """The allocation's label beside its tokenizer, whose name it does not repeat."""
    label = allocation_label(record)
    return label.removeprefix(f"{tokenizer}, ") if label != tokenizer else label


def allocator_name(record: Record) -> str:
    """`png_size 6`, `threshold scan 6`, `threshold bisection distortion 0.01`: kind and aim."""
    settings = asdict(record.config.allocator)
    given = {key: value for key, value in settings.items() if value is not None}
    words = [given.pop(key) for key in ("kind", "search") if key in given]
    words += [f"{given.pop(key):g}" for key in ("mean_budget", "target") if key in given]
    return " ".join([*words, *(f"{key} {describe(value)}" for key, value in given.items())])


def allocator_words(record: Record) -> str:
    """Prose for what chooses the budgets of a cell: `supervised, centred`, `PNG size`, ..."""
    policy, allocator = record.config.policy, record.config.allocator
    if policy is not None:
        if policy.objective.kind == "supervised":
            if policy.input == "pixels":
                return "complexity predictor, from pixels"
            return "supervised, centred" if policy.objective.centred else "supervised"
        return "policy" if policy.input == "latents" else f"policy, from {policy.input}"
    if allocator is None:
        return FIXED_BUDGET
    if isinstance(allocator, OwnConfig):
        return f"{WORDS['own']} at {allocator.target:g}"
    searched = isinstance(allocator, ThresholdConfig)
    return control_words(f"threshold_{allocator.search}" if searched else allocator.kind)


def control_words(name: str) -> str:
    """Prose for a control of a record; names that are not known stay as they are."""
    return WORDS.get(name, name.replace("_", " "))


def weighting_name(record: Record) -> str:
    """`fixed 0.5`, `constraint 6`, `gradient 0.5, floor 0.1`: kind, aim, and what was swept of it.

    Two groups of one arm that differ in their weighting have two names.
    """
    weighting = asdict(record.config.policy.weighting)
    named = {path.split(".")[2] for path in record.swept if path.startswith("policy.weighting.")}
    named |= set(record.swept.get("policy.weighting", ()))
    aims = [key for key in AIMS if weighting.get(key) is not None]
    others = [key for key in weighting if key in named and key not in ("kind", *AIMS)]
    drop = ["drop"] if "quality_drop" in aims else []
    name = " ".join([weighting["kind"], *drop, *(f"{weighting[key]:g}" for key in aims)])
    return ", ".join([name, *(f"{key} {describe(weighting[key])}" for key in others)])


def natural(text: str) -> list[tuple[int, float, str]]:
    """A key for sorting by which `rank 8` comes before `rank 16`."""
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return [
        (0, float(part), "") if index % 2 else (1, 0.0, part) for index, part in enumerate(parts)
    ]


def natural_groups(records: Sequence[Record]) -> list[Group]:
    """Repetitions put together, in the natural order of their labels."""
    return sorted(group_by_seed(records), key=lambda group: natural(group.label))


def _swept(record: Record, parts: tuple[str, ...], *, seeds: bool) -> str:
    named = describe_sweep(record.swept, under=parts, seeds=seeds)
    return f"{record.arm}, {named}" if named else record.arm


def _seedless(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    return {key: _seedless(value) for key, value in part.items() if key != "seed"}
