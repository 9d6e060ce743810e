"""Convolutional pieces of VQGANs, on images whose channels lie together in memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from adatok_core.published.layers import packs
from adatok_core.published.weights import Weights

GROUPS, EPS = 32, 1e-6
STRIP = 2**19  # values of a strip of images: 2 MiB. Smaller ones are mostly waiting for threads.


@dataclass(frozen=True)
class Convolution:
    """A convolution with zero padding."""

    weight: Tensor
    bias: Tensor | None
    padding: int
    stride: int
    packed: bool

    @classmethod
    def of(
        cls, weights: Weights, name: str, *, kernel: int = 3, bias: bool = True, stride: int = 1
    ) -> Convolution:
        """Take `<name>.weight` and, if told, `<name>.bias`; the numbers of channels are theirs."""
        weight, offsets = take_convolution(weights, name, kernel=kernel, bias=bias)
        padding = kernel // 2 if stride == 1 else 0
        return cls.made(weight, offsets, weights, padding=padding, stride=stride)

    @classmethod
    def made(
        cls, weight: Tensor, bias: Tensor | None, weights: Weights, *, padding: int, stride: int = 1
    ) -> Convolution:
        """A convolution of these tensors, packed where `weights` are on a CPU that can."""
        packed = packs(weights)
        weight = weight.contiguous(memory_format=torch.channels_last)
        if packed:
            weight = torch.ops.mkldnn._reorder_convolution_weight(
                weight, [padding] * 2, [stride] * 2, [1, 1], 1, None
            )
        return cls(weight, bias, padding, stride, packed)

    def __call__(self, x: Tensor) -> Tensor:
        """Map `x [B, C, H, W]` to `[B, C', H', W']`."""
        if self.packed:
            y: Tensor = torch.ops.mkldnn._convolution_pointwise(
                x,
                self.weight,
                self.bias,
                [self.padding] * 2,
                [self.stride] * 2,
                [1, 1],
                1,
                "none",
                [],
                "",
            )
            return y
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


def take_convolution(
    weights: Weights, name: str, *, kernel: int = 3, bias: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Weight `[C', C, k, k]` and bias `[C']` of a convolution in the file."""
    outputs, inputs = (weights.size(f"{name}.weight", axis) for axis in (0, 1))
    weight = weights.take(f"{name}.weight", outputs, inputs, kernel, kernel)
    return weight, weights.take(f"{name}.bias", outputs) if bias else None


@dataclass(frozen=True)
class Doubling:
    """Twice the size by the nearest neighbour, then a 3x3 convolution, as one of 2x2.

    Each of the four pixels that come of one sees no more than 2x2 source pixels, through sums of
    the kernel's rows and columns: four kernels of 2x2 take 16 products where 36 were.
    """

    convolution: Convolution

    @classmethod
    def of(cls, weights: Weights, name: str) -> Doubling:
        """Take the convolution's tensors."""
        weight, bias = take_convolution(weights, name)
        kernel = weight.float()
        for axis in (2, 3):
            first, middle, last = kernel.unbind(axis)
            # Window a holds source rows a - 1 and a. Row 2a reads them with (first, middle + last),
            # and row 2a - 1 with (first + middle, last).
            even = torch.stack((first, middle + last), axis)
            odd = torch.stack((first + middle, last), axis)
            kernel = torch.cat((even, odd))
        assert bias is not None
        kernel = kernel.to(weight.dtype)
        return cls(Convolution.made(kernel, bias.repeat(4), weights, padding=1))

    def __call__(self, x: Tensor) -> Tensor:
        """Map `x [B, C, H, W]` to `[B, C, 2H, 2W]`."""
        batch, _, height, width = x.shape
        y = self.convolution(x).permute(0, 2, 3, 1)
        channels = y.shape[-1] // 4
        doubled = y.new_empty(batch, height, 2, width, 2, channels)
        for column in (0, 1):
            for row in (0, 1):
                at = channels * (2 * column + row)
                window = y[:, row : row + height, column : column + width, at : at + channels]
                doubled[:, :, row, :, column] = window
        return doubled.view(batch, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class GroupNorm:
    """Group norm with 32 groups, eps 1e-6, and a SiLU unless told otherwise."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weights: Weights, name: str) -> GroupNorm:
        """Take `<name>.weight` and `<name>.bias`.

        Raises:
            ValueError: the channels do not fall into 32 groups.
        """
        channels = weights.size(f"{name}.weight", 0)
        if channels % GROUPS:
            raise ValueError(
                f"{weights.checkpoint.path}: {weights.prefix}{name} has {channels} channels, which "
                f"are not {GROUPS} groups"
            )
        return cls(*(weights.take(f"{name}.{part}", channels) for part in ("weight", "bias")))

    def __call__(self, x: Tensor, *, silu: bool = True, reuse: bool = False) -> Tensor:
        """Map `x [B, C, H, W]` to `[B, C, H, W]`; `reuse`: in its memory, where that helps."""
        if x.device.type == "cpu" and x.dtype == torch.float32:
            return self._in_strips(x, silu=silu, reuse=reuse)
        normed = F.group_norm(x, GROUPS, self.weight, self.bias, EPS)
        return F.silu(normed, inplace=True) if silu else normed

    def _in_strips(self, x: Tensor, *, silu: bool, reuse: bool) -> Tensor:
        """The same over strips of the image that stay in the cache.

        torch's own adds up all places in a row where channels lie together, which costs digits.
        """
        batch, channels = x.shape[:2]
        places = x.permute(0, 2, 3, 1).flatten(1, 2)
        length = max(1, STRIP // (batch * channels))
        strips = places.split(length, 1)
        total = torch.stack([strip.sum(1) for strip in strips]).double().sum(0)
        squares = torch.stack([strip.square().sum(1) for strip in strips]).double().sum(0)
        count = places.shape[1] * channels // GROUPS
        mean = total.view(batch, GROUPS, -1).sum(-1, keepdim=True) / count
        square = squares.view(batch, GROUPS, -1).sum(-1, keepdim=True) / count
        deviation = (square - mean.square()).add_(EPS).sqrt_()
        scale = self.weight.view(GROUPS, -1) / deviation
        shift = self.bias.view(GROUPS, -1) - mean * scale
        scale, shift = (part.float().view(batch, 1, channels) for part in (scale, shift))
        normed = places if reuse else torch.empty_like(places)
        for strip, out in zip(strips, normed.split(length, 1), strict=True):
            torch.addcmul(shift, strip, scale, out=out)
            if silu:
                F.silu(out, inplace=True)
        return normed.view(batch, *x.shape[2:], channels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Residual:
    """Two convolutions, each after a norm and a SiLU, and a shortcut past them.

    `shortcut` maps the input where the numbers of channels differ; `adds` is false where nothing
    is added.
    """

    norm1: GroupNorm
    conv1: Convolution
    norm2: GroupNorm
    conv2: Convolution
    shortcut: Convolution | None = None
    adds: bool = True

    def __call__(self, x: Tensor) -> Tensor:
        """Map `x [B, C, H, W]` to `[B, C', H, W]`."""
        y = self.conv2(self.norm2(self.conv1(self.norm1(x)), reuse=True))
        if not self.adds:
            return y
        return y.add_(x if self.shortcut is None else self.shortcut(x))
