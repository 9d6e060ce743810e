"""Interface of all quantizers, the projection in front of them, ids in mixed radix."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Quantized:
    """Codes `[B, N, C]` with straight-through gradient, ids `[B, N]`, scalar training `loss`."""

    codes: Tensor
    ids: Tensor
    loss: Tensor


class Projection(nn.Module):
    """Latents `[B, N, D]` to points `[B, N, C]`: one linear map, one bias per position.

    `N` may be fewer than all tokens; they are the first ones.
    """

    def __init__(self, width: int, dimension: int, *, tokens: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dimension, width) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(tokens, dimension))

    def forward(self, latents: Tensor) -> Tensor:
        """Points in float32, also under autocast: a code must not change with the precision."""
        with torch.autocast(latents.device.type, enabled=False):
            return F.linear(latents.float(), self.weight) + self.bias[: latents.shape[1]]

    @torch.no_grad()
    def calibrate(self, latents: Tensor, *, spread: float) -> None:
        """Centre every position over `latents` and give every dimension the deviation `spread`.

        Initialization from data (Salimans & Kingma 2016): untrained latents differ more between
        positions than between images, so their codes would hardly depend on the image, and a code
        that does not depend on the image teaches nothing.
        """
        points = self(latents)
        deviation = points.std(0).square().mean(0).sqrt()
        # Images that are all alike must not blow the weights up.
        gain = spread / deviation.clamp(min=1e-3 * points.std().item())
        self.weight.mul_(gain[:, None])
        self.bias.copy_((self.bias - points.mean(0)) * gain)


class Quantizer(nn.Module, ABC):
    """A discrete bottleneck: latents `[B, N, D]` in, codes `[B, N, C]` and ids `[B, N]` out.

    An id is made of `Q` parts of sizes `code_sizes`, the first of them least significant.
    `calibrated_spread` is the deviation that `project.calibrate` should give the points.
    """

    calibrated_spread: float

    def __init__(self, width: int, dimension: int, code_sizes: Sequence[int], *, tokens: int):
        super().__init__()
        self.dimension = dimension
        self.code_sizes = tuple(code_sizes)
        self.codebook_size = math.prod(self.code_sizes)
        self.project = Projection(width, dimension, tokens=tokens)

    @property
    def bits(self) -> float:
        """Bits per token, `log2 V`."""
        return sum(math.log2(size) for size in self.code_sizes)

    def forward(self, latents: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantize `latents [B, N, D]` in float32, also under autocast.

        Codebooks are kept alive, with draws from `generator`, in training mode only; without a
        generator nothing of the module changes.
        """
        learn = self.training and generator is not None
        with torch.autocast(latents.device.type, enabled=False):
            return self.quantize(self.points(latents, learn=learn), generator if learn else None)

    def points(self, latents: Tensor, *, learn: bool = False) -> Tensor:
        """Points `[B, N, C]` that are quantized; `learn` lets running statistics move."""
        points: Tensor = self.project(latents)
        return points

    @abstractmethod
    def quantize(self, points: Tensor, generator: torch.Generator | None) -> Quantized:
        """Quantize `points [B, N, C]`; with a `generator`, keep the codebook alive."""

    @abstractmethod
    def decode(self, ids: Tensor) -> Tensor:
        """Codes `[B, N, C]` of `ids [B, N]`, equal to those of the forward pass."""

    def parts(self, ids: Tensor) -> Tensor:
        """Parts `[B, N, Q]` of `ids [B, N]`, each below its size in `code_sizes`."""
        return split_digits(ids, self.code_sizes)


def split_digits(numbers: Tensor, sizes: Sequence[int]) -> Tensor:
    """Digits `[..., Q]` of int64 `numbers [...]` in the mixed radix `sizes`, lowest first."""
    digits = []
    for size in sizes:
        digits.append(numbers % size)
        numbers = numbers // size
    return torch.stack(digits, dim=-1)


def join_digits(digits: Tensor, sizes: Sequence[int]) -> Tensor:
    """Inverse of `split_digits`: int64 numbers `[...]` of `digits [..., Q]`."""
    numbers = torch.zeros_like(digits[..., 0])
    for position in reversed(range(len(sizes))):
        numbers = numbers * sizes[position] + digits[..., position]
    return numbers


def straight_through(smooth: Tensor, hard: Tensor) -> Tensor:
    """Exactly the values of `hard`, with the gradient of `smooth` (Bengio et al. 2013)."""
    return hard.detach() + (smooth - smooth.detach())
