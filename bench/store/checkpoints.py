"""Weights and training states as safetensors: nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from adatok_core.training_state import TrainingState
from bench.files import canonical_json, sync, written_aside

CHECKPOINT, BEFORE = "checkpoint.safetensors", "checkpoint.before.safetensors"


def save_tensors(
    path: Path, tensors: dict[str, Tensor], *, about: dict[str, Any], sealed: bool = False
) -> None:
    """Write tensors and JSON-able facts about them aside, to the disk, then rename into place.

    With `sealed`, for files that are in no artifact yet, they bear a hash of their content and
    place, which `load_tensors` checks.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"about": json.dumps(about)}
    if sealed:
        metadata["seal"] = _seal(path, contiguous, metadata["about"])
    with written_aside(path) as aside:
        try:
            save_file(contiguous, aside, metadata=metadata)
        except SafetensorError as error:
            raise _disk_error(error) from error
        sync(aside)
    sync(path.parent)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of a file and what was written about them.

    Raises:
        ValueError: it bears a seal, and its content or place is another.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    about = metadata.get("about", "{}")
    if "seal" in metadata and metadata["seal"] != _seal(path, tensors, about):
        raise ValueError(f"{path}: is torn, or of another place")
    return tensors, json.loads(about)


def is_whole(path: Path) -> bool:
    """Whether an earlier attempt left this file, and it is as it was written."""
    try:
        load_tensors(path)
    except (SafetensorError, OSError, ValueError):
        return False
    return True


def _seal(path: Path, tensors: dict[str, Tensor], about: str) -> str:
    """A hash of the stage that a file in its work folder is of, its name, and all it holds."""
    name = path.name.replace(BEFORE, CHECKPOINT)
    seal = hashlib.sha256(canonical_json([path.parent.name, name, about]).encode())
    for name, tensor in sorted(tensors.items()):
        seal.update(canonical_json([name, str(tensor.dtype), list(tensor.shape)]).encode())
        seal.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return seal.hexdigest()


def _disk_error(error: SafetensorError) -> Exception:
    """The error of the disk that safetensors puts into words."""
    number = re.search(r"os error (\d+)", str(error))
    return OSError(code := int(number[1]), os.strerror(code)) if number else error


def save_state(work: Path, state: TrainingState) -> None:
    """Write a checkpoint into a stage's work folder; the one before is kept beside it.

    While the new one is being written, the last one has its name still.
    """
    if (work / CHECKPOINT).exists():
        (work / BEFORE).unlink(missing_ok=True)
        try:
            os.link(work / CHECKPOINT, work / BEFORE)
        except OSError:  # A file system without links.
            os.replace(work / CHECKPOINT, work / BEFORE)
    about = {"step": state.step, "history": state.history}
    save_tensors(work / CHECKPOINT, state.tensors, about=about, sealed=True)


def load_state(work: Path) -> TrainingState | None:
    """The last checkpoint in a work folder that is whole; one that is torn is told on stderr."""
    for path in (work / CHECKPOINT, work / BEFORE):
        try:
            tensors, about = load_tensors(path)
            return TrainingState(tensors, about["step"], about["history"])
        except FileNotFoundError:
            continue
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            print(f"warning: {path}: damaged, and not gone on from", file=sys.stderr)
    return None


def remove_states(work: Path) -> None:
    """Remove the checkpoints of a stage that is done."""
    for name in (CHECKPOINT, BEFORE):
        (work / name).unlink(missing_ok=True)
