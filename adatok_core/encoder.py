"""The encoder: a ViT over patches and learned latent queries."""

from __future__ import annotations

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


def latents_apart(latents: int, patches: int) -> Tensor:
    """Attention mask `[S, S]` of queries, then patches: all see the patches, queries themselves."""
    mask = torch.eye(latents + patches, dtype=torch.bool)
    mask[:, latents:] = True
    return mask


class Encoder(nn.Module):
    """Patches and `N` learned queries attend to each other; only the queries are kept."""

    def __init__(self, config: TokenizerConfig, *, image_size: int):
        super().__init__()
        self.patch_size = config.patch_size
        self.embed = nn.Linear(3 * config.patch_size**2, config.width)
        # Content as loud as the unit-scale positions it is added to; the same in the decoder.
        nn.init.normal_(self.embed.weight, std=1.75 * self.embed.in_features**-0.5)
        self.patch_positions = grid_positions(image_size // config.patch_size, config.width)
        self.queries = sequence_positions(config.max_tokens, config.width, scale=LATENT_QUERY_SCALE)
        self.transformer = Transformer(
            config.encoder_depth, config.width, config.attention_heads, plain
        )
        apart = config.latent_attention == "patches"
        mask = latents_apart(len(self.queries), len(self.patch_positions)) if apart else None
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Latents `[B, N, D]` of `images [B, 3, H, W]`."""
        patches = F.pixel_unshuffle(images * 2 - 1, self.patch_size).flatten(2).transpose(1, 2)
        patches = self.embed(patches) + self.patch_positions
        queries = self.queries.expand(len(images), -1, -1).to(patches.dtype)
        x = torch.cat([queries, patches], dim=1)
        return self.transformer(x, mask=self.mask)[:, : len(self.queries)]
