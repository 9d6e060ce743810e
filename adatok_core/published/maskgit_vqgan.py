"""Decoder of MaskGIT's VQGAN (Chang et al. 2022), which two-stage TiToks give pixels with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from adatok_core.published.convolutions import (
    Convolution,
    Doubling,
    GroupNorm,
    Residual,
    take_convolution,
)
from adatok_core.published.weights import Weights


@dataclass(frozen=True)
class PixelDecoder:
    """Codes `[K, C]` and the convolutional decoder; `factor` is how much larger images are."""

    codes: Tensor
    conv_in: Convolution
    middle: tuple[Residual, ...]
    levels: tuple[tuple[Residual | Doubling, ...], ...]
    norm_out: GroupNorm
    conv_out: Convolution
    factor: int

    @classmethod
    def of(cls, quantizer: Weights, weights: Weights) -> PixelDecoder:
        """Take a codebook and a decoder; levels and numbers of channels are theirs."""
        size, width = (quantizer.size("embedding.weight", axis) for axis in (0, 1))
        middle = (_residual(weights.under(f"mid.{i}.")) for i in range(weights.count("mid")))
        depth = weights.count("up")
        # Level 0 is that of the image's size, and runs last.
        levels = (_level(weights, level) for level in reversed(range(depth)))
        return cls(
            quantizer.take("embedding.weight", size, width),
            Convolution.of(weights, "conv_in"),
            tuple(middle),
            tuple(levels),
            GroupNorm.of(weights, "norm_out"),
            Convolution.of(weights, "conv_out"),
            2 ** (depth - 1),
        )

    def mix(self, logits: Tensor, *, nearest: bool) -> Tensor:
        """Mean codes `[B, C, h, w]` under `logits [B, h, w, K]`, or those of the largest logit."""
        if nearest:
            mixed = self.codes[logits.argmax(-1)]
        else:
            mixed = logits.float().softmax(-1).to(self.codes.dtype) @ self.codes
        return mixed.permute(0, 3, 1, 2)

    def __call__(self, x: Tensor) -> Tensor:
        """Images `[B, 3, H, W]`, nominally in [0, 1], of mean codes `[B, C, h, w]`."""
        x = self.conv_in(x)
        for block in self.middle:
            x = block(x)
        for level in self.levels:
            for layer in level:
                x = layer(x)
        return self.conv_out(self.norm_out(x)).float()


def _level(weights: Weights, level: int) -> tuple[Residual | Doubling, ...]:
    under = weights.under(f"up.{level}.")
    blocks = [_residual(under.under(f"block.{i}.")) for i in range(under.count("block"))]
    return (*blocks, *((Doubling.of(under, "upsample_conv"),) if level else ()))


def _residual(weights: Weights) -> Residual:
    """A block; where channels differ, its shortcut maps the output of its second convolution.

    That is y + S y, one convolution with (1 + S) times the weights.
    """
    conv1, conv2 = (take_convolution(weights, f"conv{i}", bias=False)[0] for i in (1, 2))
    changes = conv1.shape[0] != conv1.shape[1]
    if changes:
        channels = conv2.shape[0]
        mapped = weights.take("nin_shortcut.weight", channels, channels, 1, 1).flatten(1).float()
        both = torch.eye(channels, device=mapped.device) + mapped
        conv2 = torch.einsum("oc,ciyx->oiyx", both, conv2.float()).to(conv2.dtype)
    return Residual(
        GroupNorm.of(weights, "norm1"),
        Convolution.made(conv1, None, weights, padding=1),
        GroupNorm.of(weights, "norm2"),
        Convolution.made(conv2, None, weights, padding=1),
        adds=not changes,
    )
