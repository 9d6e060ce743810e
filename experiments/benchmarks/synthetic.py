"""Weights and images made by a rule, so that two implementations can be compared without downloads.

A parity folder holds `state_dict.json` (names and shapes, and what file they are in), `about.json`
(exceptions to the rule, tolerances) and `expected.npz` (numbers of the authors' code).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

# End of a name; whether its values are divided by the root of the fan-in; what they are times.
Exceptions = Sequence[tuple[str, bool, float]]
TITOK: Exceptions = (
    ("embedding.weight", False, 1.0),
    ("attn.in_proj_weight", True, 2.0),
    ("decoder.ffn.2.weight", True, 6.0),
)


def tensor(name: str, shape: Sequence[int], exceptions: Exceptions = TITOK) -> Tensor:
    """Float32 values that follow from a name and a shape alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    normal = np.random.Generator(np.random.PCG64(seed))
    values = torch.from_numpy(normal.standard_normal(tuple(shape), dtype=np.float32))
    if len(shape) == 1:
        values.mul_(np.float32(0.1))
        return values.add_(1) if name.endswith("weight") else values
    matching = (rest for end, *rest in exceptions if name.endswith(end))
    divides, factor = next(matching, (True, 1.0))
    if divides:
        values.div_(np.float32(math.sqrt(max(1, math.prod(shape[1:])))))
    return values.mul_(factor)


def images(count: int = 2, side: int = 256, seed: int = 1234) -> Tensor:
    """Smooth images `[count, 3, side, side]` in [0, 1]: 8x8 pixels, grown with exact integers."""
    drawn = np.random.Generator(np.random.PCG64(seed))
    low = drawn.integers(0, 256, size=(count, 3, 8, 8), dtype=np.uint8).astype(np.int64)
    last = side - 1
    first, share = np.divmod(7 * np.arange(side), last)
    second = np.minimum(first + 1, 7)
    rows = low[:, :, first] * (last - share)[:, None] + low[:, :, second] * share[:, None]
    both = rows[..., first] * (last - share) + rows[..., second] * share
    square = last * last
    return torch.from_numpy((both + square // 2) // square).float() / 255


def read(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a parity folder."""
    return json.loads((folder / name).read_text(encoding="utf-8"))


def state_dict(folder: Path) -> dict[str, Tensor]:
    """The weights that a parity folder stands for."""
    layout, rule = read(folder, "state_dict.json"), read(folder, "about.json")["weight_rule"]
    exceptions = [
        (one["name_ends_with"], one["divide"], one["multiply"]) for one in rule["exceptions"]
    ]
    zeros = set(layout["left_as_the_code_makes_them"])
    return {
        one["name"]: torch.zeros(one["shape"])
        if one["name"] in zeros
        else _checked(tensor(one["name"], one["shape"], exceptions), one)
        for one in layout["tensors"]
    }


def _checked(values: Tensor, told: Mapping[str, Any]) -> Tensor:
    """The values, if they begin and add up as the folder says."""
    total = float(values.double().sum())
    begins = math.isclose(float(values.flatten()[0]), told["first"], rel_tol=1e-6)
    if not begins or not math.isclose(total, told["sum"], rel_tol=1e-6, abs_tol=1e-3):
        raise ValueError(f"{told['name']}: sums to {total}, and should to {told['sum']}")
    return values


def save(tensors: Mapping[str, Tensor], container: Mapping[str, str], folder: Path) -> Path:
    """Write weights as the file that people download would hold them."""
    if container["format"].startswith("safetensors"):
        path = folder / "model.safetensors"
        save_file(dict(tensors), path)
        return path
    path = folder / ("weights.pt" if ".pt" in container["file"] else "pytorch_model.bin")
    nesting = container["nesting"]
    nested = not nesting.startswith("none")
    torch.save({nesting.split('"')[1]: dict(tensors)} if nested else dict(tensors), path)
    return path
