"""Every number of a record as points of metrics: by training step, by budget, by second, ..."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.records.record import Record
from bench.records.sections.generation import Generation
from bench.records.sections.speed import GenerationSpeed, SpeedRow, StepCost
from bench.records.settings_paths import flatten
from bench.tracker.stages import StageRun, labelled, shared, trainings_of

# Samples of the machine by the name that their metric gets.
SAMPLES = ("cpu_percent", "resident_memory_bytes", "gpu_memory_bytes", "gpu_percent")
# These say which row of a throughput it is; all else was measured.
_PLACE = ("arm", "mode", "batch", "guidance", "guidance_scale", "pixels")


@dataclass(frozen=True)
class Point:
    """One value of a metric. `step` counts what the metric runs over: steps, tokens, seconds."""

    name: str
    value: float
    step: int = 0


def points(record: Record, stages: Sequence[StageRun]) -> Iterator[Point]:
    """All numbers of a record and of the stages of it alone; those that are shared have their own.

    Only finite ones, by names that MLflow takes.
    """
    return _clean(_all_points(record, stages))


def curve_points(row: Mapping[str, Any]) -> Iterator[Point]:
    """The values of a training at one step; `row` has its `step` beside them."""
    values = {name: value for name, value in row.items() if name != "step"}
    return _clean(_numbers(values, "training/", step=round(row["step"])))


def machine_points(stage: StageRun, prefix: str) -> Iterator[Point]:
    """What a stage took, and samples of the machine by second."""
    return _clean(_machine(stage, prefix))


def _clean(found: Iterable[Point]) -> Iterator[Point]:
    for point in found:
        if math.isfinite(point.value):
            name = re.sub(r"[^\w\-./: ]", "_", point.name, flags=re.ASCII)
            yield replace(point, name=name)


def _all_points(record: Record, stages: Sequence[StageRun]) -> Iterator[Point]:
    yield from _numbers(record.metrics.root)
    for control, metrics in record.controls.items():
        yield from _numbers(metrics.root, f"control/{control}/")
    for row in record.curve:
        yield from _numbers(row.plain(), "by_budget/", step=row.budget)
    elsewhere = trainings_of(record)
    for training, history in record.histories.items():
        for logged in history if training not in elsewhere else ():
            yield from _numbers(logged.values, f"training/{training}/", step=logged.step)
    if record.generation is not None:
        yield from _generation(record.generation)
    if record.generation_speed is not None:
        yield from _throughput(record.generation_speed)
    keys = shared(stages)
    for label, stage in labelled(stages).items():
        if stage.key not in keys:
            yield from _machine(stage, f"system/{label}/")


def _numbers(values: Mapping[str, Any], prefix: str = "", *, step: int = 0) -> Iterator[Point]:
    """The numbers among the values; truth counts as 1."""
    for name, value in values.items():
        if isinstance(value, int | float):
            yield Point(f"{prefix}{name}", float(value), step)


def _generation(generation: Generation) -> Iterator[Point]:
    """Lengths of what was generated: shares and distances by length."""
    for which, shares in generation.lengths.items():
        for tokens, share in shares.items():
            yield Point(f"length_share/{which}", share, int(tokens))
    for row in generation.by_length:
        yield from _numbers(row.plain(), "by_length/", step=row.tokens)
    for name, distance in generation.distance.items():
        yield from _numbers(distance.plain(), f"length_distance/{name}/")
    yield Point("unended", generation.unended)


def _throughput(speed: GenerationSpeed) -> Iterator[Point]:
    """Measured speeds of a throughput cell by batch size, and the cost of each position."""
    for row in speed.rows:
        pixels = ["pixels"] * row.pixels
        prefix = "/".join(["throughput", row.arm, row.mode, *_guidance(row), *pixels, ""])
        measured = {name: value for name, value in row.plain().items() if name not in _PLACE}
        for path, value in flatten(measured):
            name = path.removesuffix(".median").replace(".", "/")
            yield from _numbers({name: value}, prefix, step=row.batch)
    for cost in speed.cost_by_position:
        name = "/".join(
            ["throughput", "seconds_by_position", f"batch_{cost.batch}", *_guidance(cost)]
        )
        yield Point(name, cost.seconds, cost.position)


def _guidance(row: SpeedRow | StepCost) -> list[str]:
    return [f"guidance_{row.guidance_scale:g}"] if row.guidance else []


def _machine(stage: StageRun, prefix: str) -> Iterator[Point]:
    taken = {"seconds": stage.seconds, "peak_memory_bytes": stage.peak_memory_bytes}
    yield from _numbers(taken, prefix)
    for name in SAMPLES:
        for second, value in zip(
            stage.samples.get("seconds", []), stage.samples.get(name, []), strict=False
        ):
            yield from _numbers({name: value}, prefix, step=round(second))
