"""Checkpoint files as people download them: a torch pickle, safetensors, or a folder with one."""

from __future__ import annotations

import argparse
import errno
import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

# Names of a folder's weights in the order in which they are looked for; else its only weight file.
PREFERRED = ("model.safetensors", "pytorch_model.bin")
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
# Where training checkpoints keep the state dict, the averaged weights first.
NESTS = ("ema", "model", "state_dict")
# What wrappers of a model put before every name.
WRAPPERS = ("module.", "_orig_mod.")


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, the file they are from, and the `config.json` beside it, empty if none."""

    tensors: Mapping[str, Tensor]
    path: Path
    config: Mapping[str, Any]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a weight file, or the one in a folder, on the CPU. Nothing in it is ever run.

    Raises:
        FileNotFoundError: there is none.
        ValueError: there is more than one, it is cut short, is of another format, has a
            pickle of more than tensors and plain values, or no tensors by name.
    """
    file = _weight_file(Path(path))
    reader = _reader(file)
    try:
        content = reader(file)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{file}: {_of_pickle(error)}") from None
    except Exception as error:  # Readers fail in many ways on what is damaged.
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{file}: cannot be read, it may be cut short ({reason})") from None
    tensors = _state_dict(content, file)
    return Checkpoint(tensors, file, _config(file.parent / "config.json"))


def _weight_file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "there is no such file or folder; download the weights to it", str(path)
        )
    for name in PREFERRED:
        if (path / name).is_file():
            return path / name
    found = sorted(one for one in path.iterdir() if one.suffix in (".safetensors", *PICKLES))
    if len(found) != 1:
        names = ", ".join(one.name for one in found) or "none"
        raise ValueError(f"{path}: must hold one weight file, and holds {names}; name the file")
    return found[0]


def _reader(file: Path) -> Callable[[Path], Any]:
    with open(file, "rb") as opened:
        start = opened.read(64)
    if start.startswith((b"version https://git-lfs", b"<")):
        raise ValueError(f"{file}: is a text, not the weights it stands for; download them")
    if file.suffix == ".safetensors" or start[8:9] == b"{":
        return _load_safetensors
    if file.suffix in PICKLES or zipfile.is_zipfile(file):
        return _load_pickle
    raise ValueError(f"{file}: is neither a torch file ({', '.join(PICKLES)}) nor safetensors")


def _load_safetensors(file: Path) -> dict[str, Tensor]:
    # Copies: what is loaded lies in the file, which somebody may change.
    return {name: tensor.clone() for name, tensor in load_file(file).items()}


def _load_pickle(file: Path) -> Any:
    # Training checkpoints carry the arguments they were started with; a Namespace is plain values.
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(file, map_location="cpu", weights_only=True)


def _of_pickle(error: pickle.UnpicklingError) -> str:
    text = str(error)
    _, found, rest = text.partition("Unsupported global: GLOBAL ")
    if found:
        return (
            f"its pickle asks for {rest.split()[0]}, which could run code, and is not loaded; save "
            "its tensors alone, or as safetensors"
        )
    return "is no torch file of tensors, or is damaged; download it again, or use safetensors"


def _state_dict(content: Any, file: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        inner = [content[nest] for nest in NESTS if isinstance(content.get(nest), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping):
        raise ValueError(f"{file}: holds a {type(content).__name__} and no tensors by name")
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        raise ValueError(f"{file}: holds no tensors by name, nor under {', '.join(NESTS)}")
    for wrapper in WRAPPERS:
        if all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): value for name, value in tensors.items()}
    return tensors


def _config(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON ({error})") from None
    if not isinstance(config, dict):
        raise ValueError(f"{path}: must hold a mapping, and holds a {type(config).__name__}")
    return config
