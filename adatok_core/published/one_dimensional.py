"""Encoder and decoder of 1-D tokenizers: class token, patches and latent tokens in a sequence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from adatok_core.published.layers import Linear, read
from adatok_core.published.transformer import Transformer
from adatok_core.published.weights import Weights


@dataclass(frozen=True)
class Encoder:
    """Images to latents: `rows` are those of class token and positions, `latent_rows` normed."""

    patch: Linear
    patch_size: int
    class_row: Tensor
    positions: Tensor
    latent_rows: Tensor
    transformer: Transformer
    conv_out: Tensor
    conv_out_bias: Tensor
    legacy_reshape: bool

    @classmethod
    def of(cls, weights: Weights, *, code_width: int, legacy_reshape: bool) -> Encoder:
        """Take `latent_tokens` and `encoder`."""
        own = weights.under("encoder.")
        transformer = Transformer.of(own)
        width, tokens = transformer.width, weights.size("latent_tokens", 0)
        patch_size = own.size("patch_embed.weight", 2)
        patch = own.take("patch_embed.weight", width, 3, patch_size, patch_size).flatten(1)
        positions = _positions(own, width)
        latents = read(weights, "latent_tokens", tokens, width)
        latents = latents + read(own, "latent_token_positional_embedding", tokens, width)
        return cls(
            Linear(patch, own.take("patch_embed.bias", width), own),
            patch_size,
            transformer.norm_before(read(own, "class_embedding", 1, width) + positions[:1]),
            positions[1:],
            transformer.norm_before(latents),
            transformer,
            read(own, "conv_out.weight", code_width, width, 1, 1).flatten(1),
            read(own, "conv_out.bias", code_width),
            legacy_reshape,
        )

    def patches(self, images: Tensor) -> Tensor:
        """Embedded patches `[B, P, D]`, row by row, of `images [B, 3, H, W]`."""
        size = self.patch_size
        grid = images.unflatten(2, (-1, size)).unflatten(4, (-1, size))
        flat = grid.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return self.patch(flat.to(self.dtype)).float()

    @property
    def dtype(self) -> torch.dtype:
        """Type of products."""
        return self.transformer.dtype

    def sequence(self, images: Tensor) -> Tensor:
        """Normed class token, patches and latent tokens `[B, S, D]`."""
        batch = len(images)
        patches = self.transformer.norm_before(self.patches(images) + self.positions)
        ends = (rows.expand(batch, -1, -1) for rows in (self.class_row, self.latent_rows))
        return torch.cat((next(ends), patches, next(ends)), 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Latents `[B, N, C]` in float32."""
        before = 1 + len(self.positions)
        x = self.transformer(self.sequence(images), slice(before, None))
        return self.project(x)

    def project(self, x: Tensor) -> Tensor:
        """Latents `[B, N, C]` of `x [B, N, D]`.

        A legacy model reads the memory of [N, D] as [D, N]; token i is not query i.
        """
        if self.legacy_reshape:
            x = x.reshape(len(x), x.shape[2], x.shape[1]).transpose(1, 2)
        return x @ self.conv_out.T + self.conv_out_bias


@dataclass(frozen=True)
class Decoder:
    """Codes to the rows of patches; `mask_rows` are normed class and mask tokens."""

    embed: Tensor
    embed_bias: Tensor
    mask_rows: Tensor
    latent_positions: Tensor
    transformer: Transformer

    @classmethod
    def of(cls, weights: Weights, *, code_width: int) -> Decoder:
        """Take `decoder` but for its head."""
        transformer = Transformer.of(weights)
        width = transformer.width
        tokens = weights.size("latent_token_positional_embedding", 0)
        positions = _positions(weights, width)
        rows = read(weights, "mask_token", 1, 1, width)[0].repeat(len(positions), 1)
        rows[0] = read(weights, "class_embedding", 1, width)[0]
        return cls(
            read(weights, "decoder_embed.weight", width, code_width),
            read(weights, "decoder_embed.bias", width),
            transformer.norm_before(rows + positions),
            read(weights, "latent_token_positional_embedding", tokens, width),
            transformer,
        )

    def sequence(self, codes: Tensor) -> Tensor:
        """Normed class token, mask tokens and latents `[B, S, D]` of `codes [B, k, C]`."""
        batch, length, _ = codes.shape
        latents = codes @ self.embed.T + self.embed_bias + self.latent_positions[:length]
        return torch.cat(
            (self.mask_rows.expand(batch, -1, -1), self.transformer.norm_before(latents)), 1
        )

    def __call__(self, codes: Tensor) -> Tensor:
        """Rows of the patches `[B, P, D]`."""
        return self.transformer(self.sequence(codes), slice(1, len(self.mask_rows)))


def _positions(weights: Weights, width: int) -> Tensor:
    """Positions `[1 + P, D]` of class token and patches.

    Raises:
        ValueError: the patches are no square.
    """
    rows = weights.size("positional_embedding", 0)
    if rows < 2 or math.isqrt(rows - 1) ** 2 != rows - 1:
        raise ValueError(
            f"{weights.checkpoint.path}: {weights.prefix}positional_embedding has {rows} rows, "
            "which are not a class token and a square of patches"
        )
    return read(weights, "positional_embedding", rows, width)
