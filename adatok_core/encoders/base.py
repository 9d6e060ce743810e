"""Base of all encoders: embedded patches, learned latent queries, one transformer for both."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adatok_core.config import TokenizerConfig
from adatok_core.lora import plain
from adatok_core.positions import grid_positions, sequence_positions
from adatok_core.transformer import Transformer

# The codes start the stream that is read out. The first norm makes them unit for attention; in the
# stream itself they leave room for content, without which the latents do not vary.
LATENT_QUERY_SCALE = 0.2


class Encoder(nn.Module, ABC):
    """Images to latents, of which `kept` tokens of each will be asked for.

    `nested`: the latents are the same whatever is kept.
    """

    nested = True

    def __init__(self, config: TokenizerConfig, *, image_size: int, queries: int):
        super().__init__()
        self.patch_size = config.patch_size
        self.embed = nn.Linear(3 * config.patch_size**2, config.width)
        # Content as loud as the unit-scale positions it is added to; the same in the decoder.
        nn.init.normal_(self.embed.weight, std=1.75 * self.embed.in_features**-0.5)
        self.patch_positions = grid_positions(image_size // config.patch_size, config.width)
        if queries:
            self.queries = sequence_positions(queries, config.width, scale=LATENT_QUERY_SCALE)
        self.transformer = Transformer(
            config.encoder_depth, config.width, config.attention_heads, plain
        )

    @abstractmethod
    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """Latents `[B, N, D]` of `images [B, 3, H, W]`, for `kept [B]` tokens or for all `N`."""

    def patches(self, images: Tensor) -> Tensor:
        """Embedded patches with their positions `[B, P, D]`."""
        patches = F.pixel_unshuffle(images * 2 - 1, self.patch_size).flatten(2).transpose(1, 2)
        embedded: Tensor = self.embed(patches)
        return embedded + self.patch_positions

    def read(self, queries: Tensor, patches: Tensor, mask: Tensor | None = None) -> Tensor:
        """Read `queries [B, K, D]` or `[K, D]` beside `patches [B, P, D]`: outputs `[B, K, D]`."""
        queries = queries.expand(len(patches), -1, -1).to(patches.dtype)
        x: Tensor = self.transformer(torch.cat([queries, patches], dim=1), mask=mask)
        return x[:, : queries.shape[1]]
