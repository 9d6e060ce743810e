"""The common face of the published tokenizers: what they say of themselves, and checks of input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from adatok_core.published.checkpoint import read_checkpoint
from adatok_core.published.weights import Weights

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Description:
    """Facts about a tokenizer: the fields of `describe`."""

    name: str
    resolution: int
    max_tokens: int
    codebook_size: int
    nested: bool
    range: tuple[float, float]
    rounding: Literal["nearest", "truncate"]
    parameters: int
    encoder_parameters: int
    patch_size: int

    def plain(self) -> dict[str, Any]:
        """A mapping of plain values, in which `arrays` says that tensors are expected."""
        return {**vars(self), "range": list(self.range), "arrays": "torch"}

    def require_images(self, images: Tensor) -> None:
        """Refuse what are no images of this size.

        Raises:
            ValueError: `images` are not floating-point `[B, 3, resolution, resolution]`.
        """
        side = self.resolution
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, side, side):
            told = f"{list(images.shape)}"
        elif not images.is_floating_point():
            told = f"{str(images.dtype).removeprefix('torch.')}"
        else:
            return
        raise ValueError(
            f"{self.name}: images are {told}, and must be float [B, 3, {side}, {side}] in [0, 1]"
        )

    def require_ids(self, ids: Tensor) -> None:
        """Refuse what this tokenizer cannot decode.

        Raises:
            ValueError: `ids` are no integers `[B, k]` of codes that there are, or k is not the
                number of tokens or, where nested, one from 1 to it.
        """
        most = self.max_tokens
        least = 1 if self.nested else most
        lengths = f"{least} to {most}" if self.nested else f"{most}"
        if ids.ndim != 2 or not least <= ids.shape[1] <= most:
            raise ValueError(
                f"{self.name}: ids are {list(ids.shape)}, and must be [B, k] with k {lengths}"
            )
        if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
            raise ValueError(f"{self.name}: ids are {ids.dtype}, and must be integers")
        if ids.numel() and not (ids.min() >= 0 and ids.max() < self.codebook_size):
            raise ValueError(
                f"{self.name}: ids go from {int(ids.min())} to {int(ids.max())}, and must lie in "
                f"0 to {self.codebook_size - 1}"
            )


def in_parts(function: Callable[[Tensor], Tensor], batch: Tensor, *, most: int) -> Tensor:
    """`function` of a batch, on a CPU of at most `most` at once: what it makes stays in caches."""
    if batch.device.type != "cpu" or len(batch) <= most:
        return function(batch)
    return torch.cat([function(part) for part in batch.split(most)])


def open_weights(
    path: str | Path, family: str, *, device: str | torch.device, dtype: str | torch.dtype
) -> Weights:
    """The tensors of a checkpoint, to be taken for `device` in `dtype`.

    Raises:
        ValueError: an unknown type, or a file that cannot be read.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise ValueError(f"dtype: {name} is none of {', '.join(DTYPES)}")
    return Weights(read_checkpoint(path), family, torch.device(device), DTYPES[name])
