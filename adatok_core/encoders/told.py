"""An encoder that is told which tokens will be kept (ElasticTok, Yan et al. 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adatok_core.budgets import prefix_mask
from adatok_core.config import TokenizerConfig
from adatok_core.encoders.base import Encoder


class Told(Encoder):
    """Each query carries a learned vector that says whether its token is kept or dropped.

    What a kept token says may so depend on how many others there are: not nested.
    """

    nested = False

    def __init__(self, config: TokenizerConfig, *, image_size: int):
        super().__init__(config, image_size=image_size, queries=config.max_tokens)
        # Of dropped and of kept tokens. At first they say nothing: at the scale of the queries the
        # codes would tell the lengths apart before they tell the images apart.
        self.told = nn.Parameter(torch.zeros(2, config.width))

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """Latents `[B, N, D]` of `images [B, 3, H, W]`, the first `kept [B]` of which matter."""
        count = len(self.queries)
        if kept is None:
            kept = torch.full((len(images),), count, device=images.device)
        told = self.told[prefix_mask(kept, count).long()]
        return self.read(self.queries + told, self.patches(images))
