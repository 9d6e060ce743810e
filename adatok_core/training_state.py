"""Training states as flat, named tensors on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Optimizer


class DivergedError(RuntimeError):
    """The loss is not finite; the message names the step."""


@dataclass(frozen=True)
class TrainingState:
    """All of a run: `tensors` by name, finished `step`, and the logged `history` rows."""

    tensors: dict[str, Tensor]
    step: int
    history: list[dict[str, float]]


def pack(parts: Mapping[str, nn.Module | Optimizer]) -> dict[str, Tensor]:
    """Copies of the tensors of modules and of optimizers' moments, as `part.name`."""
    tensors: dict[str, Tensor] = {}
    for part, owner in parts.items():
        if isinstance(owner, nn.Module):
            tensors |= {f"{part}.{name}": value for name, value in owner.state_dict().items()}
            continue
        for index, moments in owner.state_dict()["state"].items():
            tensors |= {f"{part}.{index}.{name}": value for name, value in moments.items()}
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def unpack(parts: Mapping[str, nn.Module | Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Put back what `pack` took; raises `RuntimeError` when it is of another shape of model."""
    unknown = {name.split(".", 1)[0] for name in tensors} - set(parts)
    if unknown:
        raise RuntimeError(f"the state holds {sorted(unknown)}, which this training has not")
    for part, owner in parts.items():
        mine = {
            name.removeprefix(f"{part}."): value
            for name, value in tensors.items()
            if name.startswith(f"{part}.")
        }
        if isinstance(owner, nn.Module):
            owner.load_state_dict(mine)
            continue
        state = owner.state_dict()
        state["state"] = {}
        for name, value in mine.items():
            index, key = name.split(".", 1)
            # The optimizer would update the tensors it is given in place.
            state["state"].setdefault(int(index), {})[key] = value.clone()
        owner.load_state_dict(state)
