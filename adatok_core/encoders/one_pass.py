"""The encoder of nested tokens: a ViT over patches and learned latent queries, once."""

from __future__ import annotations

import torch
from torch import Tensor

from adatok_core.config import TokenizerConfig
from adatok_core.encoders.base import Encoder


def latents_apart(latents: int, patches: int) -> Tensor:
    """Attention mask `[S, S]` of queries, then patches: all see the patches, queries themselves."""
    mask = torch.eye(latents + patches, dtype=torch.bool)
    mask[:, latents:] = True
    return mask


class OnePass(Encoder):
    """Patches and `N` learned queries attend to each other; only the queries are kept."""

    mask: Tensor | None

    def __init__(self, config: TokenizerConfig, *, image_size: int):
        super().__init__(config, image_size=image_size, queries=config.max_tokens)
        apart = config.latent_attention == "patches"
        mask = latents_apart(len(self.queries), len(self.patch_positions)) if apart else None
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """Latents `[B, N, D]` of `images [B, 3, H, W]`, whatever is kept."""
        return self.read(self.queries, self.patches(images), self.mask)
