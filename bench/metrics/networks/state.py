"""Reading weight files: tensors only, never objects, and only into the network they are of."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.metrics.weight_files import WeightFile, Weights, checked_sha256

_NOT_WEIGHTS = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    TypeError,
    ValueError,
    KeyError,
    AttributeError,
)


@contextmanager
def reading(declared: Weights, given: WeightFile) -> Iterator[None]:
    """A block that reads a weight file into a network.

    Raises:
        UserError: the block failed as it does on other content; says which file is meant.
    """
    try:
        yield
    except _NOT_WEIGHTS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{declared.setting}: {given.path} is not a weight file of this network ({reason}); "
            f"give {declared.published}"
        ) from error


def read_state(declared: Weights, given: WeightFile) -> tuple[dict[str, Tensor], str]:
    """Tensors by name, on the CPU, and the file's SHA-256 (hex).

    Raises:
        UserError: the file is missing, has another hash, or holds anything but tensors by name.
    """
    sha256 = checked_sha256(declared, given)
    with reading(declared, given):
        state = torch.load(given.path, map_location="cpu", weights_only=True)
        if not all(isinstance(value, Tensor) for value in dict(state).values()):
            raise TypeError("it holds more than tensors")
    return state, sha256


def load(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Take the weights for a network made on the meta device, and freeze it.

    Raises:
        RuntimeError: names or shapes are not those of the network.
    """
    network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    network.requires_grad_(False).eval()
