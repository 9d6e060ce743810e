"""Heads of 1-D decoders: logits over the codes of a pixel decoder, or pixels at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from adatok_core.published.convolutions import Convolution
from adatok_core.published.layers import Linear
from adatok_core.published.maskgit_vqgan import PixelDecoder
from adatok_core.published.weights import Weights


@dataclass(frozen=True)
class CodeHead:
    """Logits over the codes of a pixel decoder, which gives the pixels."""

    expand: Linear
    contract: Linear
    pixels: PixelDecoder
    nearest: bool

    @classmethod
    def of(cls, weights: Weights, width: int, pixels: PixelDecoder, *, nearest: bool) -> CodeHead:
        """Take `ffn.0` and `ffn.2`."""
        hidden = 2 * width
        return cls(
            Linear.of(weights, "ffn.0", width, hidden, then="tanh", convolution=True),
            Linear.of(weights, "ffn.2", hidden, len(pixels.codes), convolution=True),
            pixels,
            nearest,
        )

    @property
    def factor(self) -> int:
        """Pixels along a patch."""
        return self.pixels.factor

    def logits(self, rows: Tensor) -> Tensor:
        """Logits `[B, h, w, K]` of rows of patches `[B, P, D]`."""
        batch, grid = len(rows), math.isqrt(rows.shape[1])
        hidden = self.expand(rows.to(self.pixels.codes.dtype))
        return self.contract(hidden).view(batch, grid, grid, -1)

    def __call__(self, rows: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` of rows of patches `[B, P, D]`."""
        return self.pixels(self.pixels.mix(self.logits(rows), nearest=self.nearest))


@dataclass(frozen=True)
class PixelHead:
    """Pixels of each patch, then a 3x3 convolution over the image."""

    patch: Linear
    factor: int
    smooth: Convolution
    dtype: torch.dtype

    @classmethod
    def of(cls, weights: Weights, width: int) -> PixelHead:
        """Take `ffn.0` and `conv_out`."""
        values = weights.size("ffn.0.weight", 0)
        size = math.isqrt(values // 3)
        return cls(
            Linear.of(weights, "ffn.0", width, 3 * size * size, convolution=True),
            size,
            Convolution.of(weights, "conv_out"),
            weights.dtype,
        )

    def patches(self, rows: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` before the last convolution."""
        grid, size = math.isqrt(rows.shape[1]), self.factor
        values = self.patch(rows.to(self.dtype))
        return (
            values.view(len(rows), grid, grid, size, size, 3)
            .permute(0, 5, 1, 3, 2, 4)
            .reshape(len(rows), 3, grid * size, grid * size)
        )

    def __call__(self, rows: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` of rows of patches `[B, P, D]`."""
        return self.smooth(self.patches(rows)).float()
