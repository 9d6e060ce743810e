"""The stages of a cell as the store describes them: when they ran, what they took, what of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench.errors import UserError
from bench.records.parts import StageCost
from bench.records.record import Record
from bench.store.store import Store

# Stages that leave a curve and weights.
TRAININGS = ("tokenizer", "policy", "generator")


@dataclass(frozen=True)
class StageRun:
    """A stage that was computed, once for all cells that need it.

    `kind` tells it from like stages: `tokenizer`, `data.train`, `bank.evaluation`. `began` is in
    seconds since 1970, of its first attempt, and None where the store no longer has the artifact;
    then there are no `config`, no `inputs` (keys by name) and no `samples` of the machine either.
    `rows` counts those of its curve.
    """

    stage: str
    key: str
    kind: str
    seconds: float
    peak_memory_bytes: int | None
    began: float | None = None
    ended: float | None = None
    rows: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, tuple[str, str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`stage-key`, as everywhere."""
        return f"{self.stage}-{self.key}"


class Stages:
    """Stages of a store, each of which is read once, however many cells share it."""

    def __init__(self, store: Store):
        self.store = store
        self._known: dict[tuple[str, str], StageRun] = {}

    def of(self, record: Record) -> list[StageRun]:
        """The stages of a record, in its order."""
        curves = curves_of(record)
        return [self._one(cost, rows=len(curves.get(cost.key, ()))) for cost in record.stages]

    def _one(self, cost: StageCost, *, rows: int) -> StageRun:
        if (cost.stage, cost.key) not in self._known:
            about = description(self.store, cost.stage, cost.key)
            bare = StageRun(
                cost.stage, cost.key, cost.stage, cost.seconds, cost.peak_memory_bytes, rows=rows
            )
            self._known[cost.stage, cost.key] = described(about) if about else bare
        return self._known[cost.stage, cost.key]


def described(about: dict[str, Any]) -> StageRun:
    """The stage of a description, as the store has it."""
    times = [datetime.fromisoformat(text).timestamp() for text in about.get("attempts", [])]
    result = about.get("result", {})
    return StageRun(
        stage=about["stage"],
        key=about["key"],
        kind=_kind(about),
        seconds=about["seconds"],
        peak_memory_bytes=about.get("peak_memory_bytes"),
        began=times[0] if times else None,
        ended=times[-1] + about["seconds"] if times else None,
        rows=len(result.get("history", ())),
        config=about.get("config", {}),
        inputs={name: (stage, key) for name, (stage, key) in about.get("inputs", {}).items()},
        counts={name: result[name] for name in ("count", "parameters") if name in result},
        samples=about.get("system", {}),
    )


def description(store: Store, stage: str, key: str) -> dict[str, Any]:
    """What the store says of a stage; nothing where it was removed, or records came without it."""
    try:
        return store.description(stage, key)
    except (OSError, ValueError, UserError):
        return {}


def labelled(stages: Sequence[StageRun]) -> dict[str, StageRun]:
    """The stages of a cell by a label of their own: where kinds repeat, they are numbered."""
    found: dict[str, StageRun] = {}
    for stage in stages:
        label, number = stage.kind, 1
        while label in found:
            number += 1
            label = f"{stage.kind}.{number}"
        found[label] = stage
    return found


def shared(stages: Sequence[StageRun]) -> set[str]:
    """Keys of the stages that others of the cell need, or that train: other cells may share them.

    All but the last are, as far as it is not known.
    """
    needed = {key for stage in stages for _, key in stage.inputs.values()}
    unknown = {stage.key for stage in stages[:-1] if stage.began is None}
    return needed | unknown | {stage.key for stage in stages if stage.stage in TRAININGS}


def curves_of(record: Record) -> dict[str, Sequence[Any]]:
    """The histories of a record by the key of the stage that has each: both are in one order."""
    names = trainings_of(record)
    return {key: record.histories[name] for name, key in names.items()}


def trainings_of(record: Record) -> dict[str, str]:
    """Keys of a record's trainings by the name of their history; none where they do not match."""
    keys = [stage.key for stage in record.stages if stage.stage in TRAININGS]
    if len(keys) != len(record.histories):
        return {}
    return dict(zip(record.histories, keys, strict=True))


def _kind(about: dict[str, Any]) -> str:
    stage, config = about["stage"], about.get("config", {})
    if "trainable" in config:
        return f"{stage}.finetuning"
    if {"start", "lengths"} & set(about.get("inputs", {})):
        return f"{stage}.codesign"
    which = config.get("split") or config.get("purpose")
    return f"{stage}.{which}" if which else str(stage)
