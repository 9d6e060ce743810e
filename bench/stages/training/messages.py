"""What a stage and its ranks tell each other, as JSON: the task, and results or errors."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adatok_core.training_state import DivergedError
from bench.errors import UserError
from bench.store.stage import Resources, StageContext, StageSpec
from bench.store.stopping import StageStopped, StoppedEarly

# What a rank may be told besides its task.
STOP = "stop"


class RankError(RuntimeError):
    """One of several ranks has died, or failed; the message names it."""


def task_of(context: StageContext, *, folder: str, rank: int) -> dict[str, Any]:
    """All that a rank needs to know, JSON-able."""
    return {
        "spec": asdict(context.spec),
        "inputs": {name: str(path) for name, path in context.inputs.items()},
        "work": str(context.work),
        "folder": folder,
        "rank": rank,
    }


def context_of(task: dict[str, Any]) -> StageContext:
    """The context of the stage that a task is of."""
    spec = task["spec"]
    return StageContext(
        StageSpec(
            spec["stage"],
            spec["version"],
            spec["config"],
            {name: (of[0], of[1]) for name, of in spec["inputs"].items()},
            spec["runtime"],
            Resources(**spec["resources"]),
        ),
        {name: Path(path) for name, path in task["inputs"].items()},
        Path(task["work"]),
    )


def failure(error: Exception) -> dict[str, Any]:
    """An error of a rank, JSON-able."""
    told = {"kind": type(error).__name__, "text": str(error).split("\n")[0], "at": time.time()}
    if isinstance(error, OSError) and error.errno is not None:
        filename = None if error.filename is None else os.fsdecode(error.filename)
        told |= {"errno": error.errno, "text": error.strerror, "filename": filename}
    return told


def raised(told: dict[str, Any], *, who: str) -> Exception:
    """The error to raise for what a rank told: what is no matter of ranks is as it is without."""
    if told["kind"] == "UserError":
        return UserError(told["text"])
    if told["kind"] == "StageStopped":
        return StageStopped()
    if told["kind"] == "StoppedEarly":
        return StoppedEarly(told["text"])
    if told["kind"] == "DivergedError":
        return DivergedError(told["text"])
    if "errno" in told:
        return OSError(told["errno"], told["text"], told["filename"])
    return RankError(f"{who}: {told['kind']}: {told['text']}")
