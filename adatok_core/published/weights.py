"""Tensors of a checkpoint, taken by the names and shapes that an architecture has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from adatok_core.published.checkpoint import Checkpoint

# A name that only this family's files have.
FAMILIES = {
    "TA-TiTok, whose decoder also reads a caption": r"decoder\.text_guidance_proj\.",
    "TiTok or One-D-Piece": r"encoder\.latent_token_positional_embedding$",
    "LlamaGen's VQ tokenizer": r"encoder\.conv_blocks\.",
    "MaskGIT's VQGAN": r"decoder\.up\.0\.block\.",
    "a generator, not a tokenizer": r"(blocks?|layers)\.\d+\.(attn|attention)\b",
}
SHOWN = 3


@dataclass
class _Ledger:
    taken: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Weights:
    """Floating-point tensors under a prefix, on `device` and of `dtype` when taken.

    `family` says what they should be, for messages.
    """

    checkpoint: Checkpoint
    family: str
    device: torch.device
    dtype: torch.dtype
    prefix: str = ""
    ledger: _Ledger = field(default_factory=_Ledger)

    def under(self, prefix: str) -> Weights:
        """The tensors whose names go on with `prefix`, in the same ledger."""
        return replace(self, prefix=self.prefix + prefix)

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name or, where it ends in a dot, any below it."""
        name, names = self.prefix + name, self.checkpoint.tensors
        return any(one.startswith(name) for one in names) if name.endswith(".") else name in names

    def count(self, list_name: str) -> int:
        """Length of the list of layers `list_name`: one more than its greatest index."""
        at = re.compile(re.escape(f"{self.prefix}{list_name}.") + r"(\d+)\.")
        found = (at.match(name) for name in self.checkpoint.tensors)
        return max((int(match[1]) + 1 for match in found if match), default=0)

    def size(self, name: str, axis: int) -> int:
        """Length of a tensor along an axis, from which others follow.

        Raises:
            ValueError: there is no such tensor, or it has fewer axes.
        """
        tensor = self.checkpoint.tensors.get(self.prefix + name)
        if tensor is None:
            raise ValueError(self._complaint([f"no {self.prefix}{name}"]))
        if tensor.ndim <= axis:
            shape = list(tensor.shape)
            raise ValueError(self._complaint([f"{self.prefix}{name} is of shape {shape}"]))
        return tensor.shape[axis]

    def take(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """The tensor `name` of this shape; where it cannot be had, that is noted and zeros come."""
        name = self.prefix + name
        tensor = self.checkpoint.tensors.get(name)
        self.ledger.taken.add(name)
        dtype = self.dtype if dtype is None else dtype
        if tensor is None:
            self.ledger.missing.append(name)
        elif tuple(tensor.shape) != shape or not tensor.is_floating_point():
            told = f"{list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
            self.ledger.misshapen.append(f"{name} is {told}, must be {list(shape)} float")
        else:
            return tensor.to(self.device, dtype)
        return torch.zeros(shape, device=self.device, dtype=dtype)

    def leave(self, name: str) -> None:
        """Allow names that start so and are of no use in encoding or decoding."""
        start = self.prefix + name
        self.ledger.left.update(n for n in self.checkpoint.tensors if n.startswith(start))

    def parameters(self, *starts: str) -> int:
        """Number of values in the tensors taken whose names start with one of these."""
        names = (n for n in self.ledger.taken if n.startswith(starts))
        return sum(self.checkpoint.tensors[name].numel() for name in names)

    def require_all_used(self) -> None:
        """Refuse a checkpoint that lacks a tensor, has another, or one of another shape.

        Raises:
            ValueError: says which, the first of each, and what the names look like.
        """
        extra = sorted(self.checkpoint.tensors.keys() - self.ledger.taken - self.ledger.left)
        noted = (
            ("missing", self.ledger.missing),
            ("of another shape", self.ledger.misshapen),
            ("not known", extra),
        )
        if any(names for _, names in noted):
            raise ValueError(
                self._complaint([f"{len(n)} {what}: {_first(n)}" for what, n in noted if n])
            )

    def _complaint(self, reasons: Sequence[str]) -> str:
        looks = [
            family
            for family, pattern in FAMILIES.items()
            if any(re.search(pattern, name) for name in self.checkpoint.tensors)
        ]
        like = f"the names look like {looks[0]}" if looks else "the names are of no known family"
        path = self.checkpoint.path
        return f"{path}: not the weights of {self.family}: {'; '.join(reasons)}; {like}"


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
