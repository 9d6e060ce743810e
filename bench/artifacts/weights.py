"""Weight files of others: names and sizes are seen to fit before anything is built."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from adatok_core.build import build_tokenizer
from adatok_core.config import PolicyConfig, TokenizerConfig
from adatok_core.policy_training import build_policy
from bench.artifacts.bank import TOKENIZER_WEIGHTS
from bench.artifacts.networks import POLICY_WEIGHTS
from bench.config.settings import parse
from bench.errors import UserError

Made = TypeVar("Made")

MOST_PIXELS = 4096  # of a side
MOST_CODES = 2**62


def require_described(path: Path) -> None:
    """Refuse a file of weights whose description asks for other tensors than it holds.

    A model is built without memory to compare with, so that a false size costs nothing.

    Raises:
        UserError: it is no such file, or its description is not one or does not fit its tensors.
    """
    checked(path, lambda: _compare(path))


def checked(path: Path, make: Callable[[], Made]) -> Made:
    """What `make` gives of the file at `path`; whatever it raises is one line about that file."""
    try:
        return make()
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"{path}: does not hold the weights of the model it describes ({reason[0]}); export "
            "the cell again"
        ) from error


def _compare(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        about = json.loads((file.metadata() or {})["about"])
        held = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        for name in held:
            if not torch.isfinite(file.get_tensor(name)).all():
                raise ValueError(f"{name} is not finite")
    with torch.device("meta"):
        model = _MODELS[path.name](about, len(held), str(path))
    wanted = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in {**wanted, **held}:
        if wanted.get(name) != held.get(name):
            raise ValueError(f"{name}: is {held.get(name)}, not {wanted.get(name)}")


def _tokenizer(about: dict[str, Any], tensors: int, where: str) -> nn.Module:
    config = parse(TokenizerConfig, about["tokenizer"], where=where)
    _require_numbers(about, {"image_size": MOST_PIXELS})
    lengths = about["trained_lengths"]
    if not isinstance(lengths, list) or not all(type(one) is int for one in lengths):
        raise ValueError("trained_lengths: is no list of numbers")
    # Layers and heads have weights of their own: no more than there are tensors.
    heads = len(config.budgets) if config.lora.rank or config.decoders != "shared" else 1
    if config.encoder_depth + config.decoder_depth + heads > tensors:
        raise ValueError(f"{tensors} tensors are too few for its layers")
    if config.quantizer.codebook_size > MOST_CODES:
        raise ValueError("quantizer: ids of its codes do not fit into 64 bits")
    return build_tokenizer(config, image_size=about["image_size"])


def _policy(about: dict[str, Any], tensors: int, where: str) -> nn.Module:
    config = parse(PolicyConfig, about["policy"], where=where)
    _require_numbers(about, {"length": 2**20, "width": 2**20})
    return build_policy(config, length=about["length"], width=about["width"])


def _require_numbers(about: dict[str, Any], most: dict[str, int]) -> None:
    for key, value in most.items():
        if type(about[key]) is not int or not 1 <= about[key] <= value:
            raise ValueError(f"{key}: is no number in 1..{value}")


_MODELS: dict[str, Callable[[dict[str, Any], int, str], nn.Module]] = {
    TOKENIZER_WEIGHTS: _tokenizer,
    POLICY_WEIGHTS: _policy,
}
