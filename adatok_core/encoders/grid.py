"""The encoder of a 2-D grid: every patch is a token."""

from __future__ import annotations

from torch import Tensor

from adatok_core.config import TokenizerConfig
from adatok_core.encoders.base import Encoder


class Grid(Encoder):
    """A ViT without queries: what becomes of each patch is its token, rows first.

    Raises `ValueError` unless the only budget is the number of patches.
    """

    def __init__(self, config: TokenizerConfig, *, image_size: int):
        patches = (image_size // config.patch_size) ** 2
        if config.max_tokens != patches:
            raise ValueError(
                f"budgets: the grid encoding has one token per patch, {patches} at {image_size} px"
            )
        super().__init__(config, image_size=image_size, queries=0)

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """Latents `[B, P, D]` of `images [B, 3, H, W]`."""
        latents: Tensor = self.transformer(self.patches(images))
        return latents
