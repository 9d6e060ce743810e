"""The stages of a cell as the store describes them: when they ran, and what they took."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench.errors import UserError
from bench.records.parts import StageCost
from bench.records.record import Record
from bench.store.store import Store


@dataclass(frozen=True)
class StageRun:
    """A stage that was computed.

    `label` tells it from the cell's other stages: `tokenizer`, `data.train`, `bank.evaluation`.
    `began` is in seconds since 1970, of its first attempt, and None where the store no longer has
    the artifact; then there are no `samples` of the machine either.
    """

    label: str
    seconds: float
    peak_memory_bytes: int | None
    began: float | None = None
    ended: float | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)


def stages_of(record: Record, store: Store) -> list[StageRun]:
    """The stages in the order of the record; where labels would repeat, they are numbered."""
    found: dict[str, StageRun] = {}
    for stage in record.stages:
        about = _description(stage, store)
        label = first = _label(stage.stage, about)
        number = 1
        while label in found:
            number += 1
            label = f"{first}.{number}"
        times = [datetime.fromisoformat(text).timestamp() for text in about.get("attempts", [])]
        found[label] = StageRun(
            label=label,
            seconds=stage.seconds,
            peak_memory_bytes=stage.peak_memory_bytes,
            began=times[0] if times else None,
            ended=times[-1] + stage.seconds if times else None,
            samples=about.get("system", {}),
        )
    return list(found.values())


def _description(stage: StageCost, store: Store) -> dict[str, Any]:
    try:
        return store.description(stage.stage, stage.key)
    except (OSError, ValueError, UserError):  # Removed since, or records without their store.
        return {}


def _label(stage: str, about: dict[str, Any]) -> str:
    config = about.get("config", {})
    if "trainable" in config:
        return f"{stage}.finetuning"
    if {"start", "lengths"} & set(about.get("inputs", {})):
        return f"{stage}.codesign"
    which = config.get("split") or config.get("purpose")
    return f"{stage}.{which}" if which else stage
