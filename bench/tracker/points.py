"""Every number of a record as points of metrics: by training step, by budget, by second, ..."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bench.tracker.parameters import flatten
from bench.tracker.stages import StageRun

Record = dict[str, Any]

# Samples of the machine by the name that their metric gets.
SAMPLES = ("cpu_percent", "resident_memory_bytes", "gpu_memory_bytes", "gpu_percent")
# What says which row of a throughput it is, rather than what was measured.
_PLACE = ("arm", "mode", "batch", "guidance", "guidance_scale", "pixels")


@dataclass(frozen=True)
class Point:
    """One value of a metric. `step` counts what the metric runs over: steps, tokens, seconds."""

    name: str
    value: float
    step: int = 0


def points(record: Record, stages: list[StageRun]) -> Iterator[Point]:
    """All numbers of a record and of its stages that are finite, by names that MLflow takes."""
    for point in _all_points(record, stages):
        if math.isfinite(point.value):
            name = re.sub(r"[^\w\-./: ]", "_", point.name, flags=re.ASCII)
            yield replace(point, name=name)


def _all_points(record: Record, stages: list[StageRun]) -> Iterator[Point]:
    yield from _numbers(record.get("metrics", {}))
    for control, metrics in record.get("controls", {}).items():
        yield from _numbers(metrics, f"control/{control}/")
    for row in record.get("curve", []):
        yield from _numbers(row, "by_budget/", step=row["budget"])
    for stage, history in record.get("histories", {}).items():
        for row in history:
            rest = {name: value for name, value in row.items() if name != "step"}
            yield from _numbers(rest, f"training/{stage}/", step=row["step"])
    yield from _generation(record.get("generation", {}))
    yield from _throughput(record.get("throughput", {}))
    for stage in stages:
        yield from _machine(stage)


def _numbers(values: dict[str, Any], prefix: str = "", *, step: int = 0) -> Iterator[Point]:
    """The numbers among the values; truth counts as 1."""
    for name, value in values.items():
        if isinstance(value, int | float):
            yield Point(f"{prefix}{name}", float(value), step)


def _generation(generation: Record) -> Iterator[Point]:
    """Lengths of what was generated: shares and distances by length."""
    for which, shares in generation.get("lengths", {}).items():
        for tokens, share in shares.items():
            yield Point(f"length_share/{which}", float(share), int(tokens))
    for row in generation.get("by_length", []):
        yield from _numbers(row, "by_length/", step=row["tokens"])
    for path, value in flatten(generation.get("distance", {})):
        yield from _numbers({path.replace(".", "/"): value}, "length_distance/")
    yield from _numbers({"unended": generation.get("unended")})


def _throughput(throughput: Record) -> Iterator[Point]:
    """Measured speeds of a throughput cell by batch size, and the cost of each position.

    A reconstruction's record gives its speeds as metrics.
    """
    for row in throughput.get("rows", []):
        pixels = ["pixels"] * bool(row.get("pixels"))
        prefix = "/".join(["throughput", row["arm"], row["mode"], *_guidance(row), *pixels, ""])
        measured = {name: value for name, value in row.items() if name not in _PLACE}
        for path, value in flatten(measured):
            name = path.removesuffix(".median").replace(".", "/")
            yield from _numbers({name: value}, prefix, step=row["batch"])
    for row in throughput.get("cost_by_position", []):
        batch = [f"batch_{row['batch']}"] if "batch" in row else []
        name = "/".join(["throughput", "seconds_by_position", *batch, *_guidance(row)])
        yield Point(name, float(row["seconds"]), row["position"])


def _guidance(row: Record) -> list[str]:
    if not row.get("guidance"):
        return []
    return [f"guidance_{row['guidance_scale']:g}" if "guidance_scale" in row else "guidance"]


def _machine(stage: StageRun) -> Iterator[Point]:
    """What a stage took of the machine: in all, and sampled over its seconds."""
    yield from _numbers(
        {"seconds": stage.seconds, "peak_memory_bytes": stage.peak_memory_bytes},
        f"system/{stage.label}/",
    )
    for name in SAMPLES:
        for second, value in zip(
            stage.samples.get("seconds", []), stage.samples.get(name, []), strict=False
        ):
            yield from _numbers({name: value}, f"system/{stage.label}/", step=round(second))
