"""Weights and training states as safetensors: nothing is ever unpickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from adatok_core.training_state import TrainingState
from bench.files import written_aside


def save_tensors(path: Path, tensors: dict[str, Tensor], *, about: dict[str, Any]) -> None:
    """Write tensors and JSON-able facts about them aside, then rename into place."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_aside(path) as aside:
        save_file(contiguous, aside, metadata={"about": json.dumps(about)})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of a file and what was written about them."""
    with safe_open(path, framework="pt") as file:
        about = json.loads((file.metadata() or {}).get("about", "{}"))
        return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118


def save_state(path: Path, state: TrainingState) -> None:
    """Write a checkpoint."""
    save_tensors(path, state.tensors, about={"step": state.step, "history": state.history})


def load_state(path: Path) -> TrainingState:
    """Read a checkpoint."""
    tensors, about = load_tensors(path)
    return TrainingState(tensors, about["step"], about["history"])
