"""LlamaGen's VQ tokenizer (Sun et al. 2024, 2406.06525), a VQGAN with codes of unit length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from adatok_core.published.codebook import Codebook
from adatok_core.published.convolutions import Convolution, Doubling, GroupNorm, Residual
from adatok_core.published.layers import Linear
from adatok_core.published.tokenizer import Description, in_parts, open_weights
from adatok_core.published.weights import Weights


@dataclass(frozen=True)
class Attention:
    """Attention of one head over all places of an image, on a residual branch."""

    norm: GroupNorm
    qkv: Linear
    out: Linear

    @classmethod
    def of(cls, weights: Weights) -> Attention:
        """Take `norm`, `q`, `k`, `v` and `proj_out`."""
        width = weights.size("norm.weight", 0)
        parts = [weights.take(f"{name}.weight", width, width, 1, 1).flatten(1) for name in "qkv"]
        biases = [weights.take(f"{name}.bias", width) for name in "qkv"]
        return cls(
            GroupNorm.of(weights, "norm"),
            Linear(torch.cat(parts), torch.cat(biases), weights),
            Linear.of(weights, "proj_out", width, width, convolution=True),
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Map `x [B, C, H, W]` to `[B, C, H, W]`."""
        batch, channels, height, width = x.shape
        rows = self.norm(x, silu=False).permute(0, 2, 3, 1).flatten(1, 2)
        q, k, v = self.qkv(rows).unsqueeze(1).chunk(3, -1)
        seen = F.scaled_dot_product_attention(q, k, v).squeeze(1)
        return x + self.out(seen).view(batch, height, width, channels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Halving:
    """Half the size: a 3x3 convolution of stride 2, after zeros right and below."""

    convolution: Convolution

    def __call__(self, x: Tensor) -> Tensor:
        """Map `x [B, C, 2H, 2W]` to `[B, C, H, W]`."""
        return self.convolution(F.pad(x, (0, 1, 0, 1)))


Layer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Network:
    """Encoder or decoder: a convolution, parts in the order in which they run, and a way out."""

    conv_in: Convolution
    parts: tuple[tuple[Layer, ...], ...]
    norm_out: GroupNorm
    conv_out: Convolution

    @classmethod
    def encoder(cls, weights: Weights) -> Network:
        """Take levels of falling size, then the middle."""
        return cls._of(weights, (*_levels(weights), _middle(weights)))

    @classmethod
    def decoder(cls, weights: Weights) -> Network:
        """Take the middle, then levels of growing size."""
        return cls._of(weights, (_middle(weights), *_levels(weights)))

    @classmethod
    def _of(cls, weights: Weights, parts: tuple[tuple[Layer, ...], ...]) -> Network:
        return cls(
            Convolution.of(weights, "conv_in"),
            parts,
            GroupNorm.of(weights, "norm_out"),
            Convolution.of(weights, "conv_out"),
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Map `x [B, C, H, W]` to `[B, C', H', W']`."""
        x = self.conv_in(x)
        for part in self.parts:
            for layer in part:
                x = layer(x)
        return self.conv_out(self.norm_out(x))


def _levels(weights: Weights) -> tuple[tuple[Layer, ...], ...]:
    names = [f"conv_blocks.{i}." for i in range(weights.count("conv_blocks"))]
    return tuple(_level(weights.under(name)) for name in names)


def _level(weights: Weights) -> tuple[Layer, ...]:
    """Blocks, each followed by its attention where there is one, and a change of size."""
    layers: list[Layer] = []
    attends = weights.has("attn.")
    for index in range(weights.count("res")):
        layers.append(_residual(weights.under(f"res.{index}.")))
        if attends:
            layers.append(Attention.of(weights.under(f"attn.{index}.")))
    if weights.has("downsample."):
        layers.append(Halving(Convolution.of(weights, "downsample.conv", stride=2)))
    if weights.has("upsample."):
        layers.append(Doubling.of(weights, "upsample.conv"))
    return tuple(layers)


def _middle(weights: Weights) -> tuple[Layer, ...]:
    return (
        _residual(weights.under("mid.0.")),
        Attention.of(weights.under("mid.1.")),
        _residual(weights.under("mid.2.")),
    )


def _residual(weights: Weights) -> Residual:
    outputs, inputs = (weights.size("conv1.weight", axis) for axis in (0, 1))
    shortcut = Convolution.of(weights, "nin_shortcut", kernel=1) if outputs != inputs else None
    return Residual(
        GroupNorm.of(weights, "norm1"),
        Convolution.of(weights, "conv1"),
        GroupNorm.of(weights, "norm2"),
        Convolution.of(weights, "conv2"),
        shortcut,
    )


@dataclass(frozen=True)
class LlamaGenVQ:
    """A trained tokenizer of a grid of codes, row by row, for inference."""

    encoder: Network
    to_codes: Convolution
    codebook: Codebook
    from_codes: Convolution
    decoder: Network
    description: Description
    dtype: torch.dtype

    def describe(self) -> dict[str, Any]:
        """Facts about it: resolution, tokens, codes, what `decode` gives."""
        return self.description.plain()

    @torch.inference_mode()
    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Ids `[B, N]` and latents before quantization `[B, N, C]` of images in [0, 1].

        Raises:
            ValueError: other than float `[B, 3, resolution, resolution]`.
        """
        self.description.require_images(images)
        images = images.to(self.codebook.codes.device, torch.float32)
        latents = in_parts(self._latents, images, most=1)
        return in_parts(self.codebook.nearest, latents, most=1), latents

    def _latents(self, images: Tensor) -> Tensor:
        x = (images * 2 - 1).to(self.dtype).contiguous(memory_format=torch.channels_last)
        return self.to_codes(self.encoder(x)).permute(0, 2, 3, 1).flatten(1, 2).float()

    @torch.inference_mode()
    def decode(self, ids: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` of `ids [B, N]`, nominally in [-1, 1].

        Raises:
            ValueError: another length, or ids that are no codes.
        """
        self.description.require_ids(ids)
        ids = ids.to(self.codebook.codes.device, torch.int64)
        return in_parts(self._pixels, ids, most=1)

    def _pixels(self, ids: Tensor) -> Tensor:
        side = self.description.resolution // self.description.patch_size
        x = self.codebook(ids).to(self.dtype).unflatten(1, (side, side)).permute(0, 3, 1, 2)
        return self.decoder(self.from_codes(x)).float()


def llamagen(
    weights: str | Path,
    *,
    resolution: int = 256,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    l2_normalised: bool = True,
) -> LlamaGenVQ:
    """LlamaGen's tokenizer (`vq_ds16_c2i.pt`, `vq_ds8_c2i.pt`, ...) from the file people download.

    Levels, channels and codes follow from names and shapes.

    Args:
        weights: `.pt`, also nested as training leaves it, `.safetensors`, or a folder with one.
        resolution: side of images in px, a multiple of the downsampling; the weights fit any.
        device: where it computes.
        dtype: `float32`, or `bfloat16` but for the quantizer.
        l2_normalised: whether codes and latents are scaled to unit length, as in all that are
            released.

    Raises:
        ValueError: one line on a file that cannot be read, is incomplete or of another model, or a
            resolution that does not fit it.
    """
    own = open_weights(weights, "LlamaGen's VQ tokenizer", device=device, dtype=dtype)
    path = own.checkpoint.path
    network = Network.encoder(own.under("encoder."))
    to_codes = Convolution.of(own, "quant_conv", kernel=1)
    codebook = Codebook.of(own.under("quantize."), l2_normalised=l2_normalised)
    own.leave("quantize.codebook_used")  # Usage statistics of training.
    from_codes = Convolution.of(own, "post_quant_conv", kernel=1)
    decoder = Network.decoder(own.under("decoder."))
    own.require_all_used()
    factor = 2 ** sum(isinstance(layer, Halving) for part in network.parts for layer in part)
    grown = 2 ** sum(isinstance(layer, Doubling) for part in decoder.parts for layer in part)
    if factor != grown:
        raise ValueError(f"{path}: encodes 1/{factor} of the size and decodes {grown} times")
    if resolution < factor or resolution % factor:
        raise ValueError(f"resolution: {resolution} px is no multiple of {factor}, as {path} needs")
    description = Description(
        name=f"LlamaGen-VQ-{factor}",
        resolution=resolution,
        max_tokens=(resolution // factor) ** 2,
        codebook_size=len(codebook.codes),
        nested=False,
        range=(-1.0, 1.0),
        rounding="nearest",
        parameters=own.parameters(""),
        encoder_parameters=own.parameters("encoder.", "quant_conv."),
        patch_size=factor,
    )
    return LlamaGenVQ(network, to_codes, codebook, from_codes, decoder, description, own.dtype)
