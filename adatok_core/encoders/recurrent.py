"""An encoder that adds tokens in roll-outs (ALIT, Duggal et al. 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

from adatok_core.config import TokenizerConfig
from adatok_core.encoders.base import Encoder


class Recurrent(Encoder):
    """Roll-out `r` appends `N / R` queries to the latents so far and reads the patches again.

    All roll-outs share their weights. Later ones refine the latents of earlier ones: not nested.
    """

    nested = False

    def __init__(self, config: TokenizerConfig, *, image_size: int):
        super().__init__(config, image_size=image_size, queries=config.max_tokens)
        if config.rollouts is None:
            raise ValueError("rollouts: the recurrent encoding needs 1 or more")
        self.added = config.max_tokens // config.rollouts

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """Latents `[B, K, D]` of `images [B, 3, H, W]`, `K` those of the batch's last roll-out.

        Each image's latents are those after the roll-out that completes its first `kept [B]`. The
        ones behind are of later roll-outs, if others of the batch need them.
        """
        if kept is None:
            kept = torch.full((len(images),), len(self.queries), device=images.device)
        needed = (kept + self.added - 1) // self.added
        patches = self.patches(images)
        state = taken = patches[:, :0]
        for rollout, queries in enumerate(self.queries.split(self.added)[: int(needed.max())]):
            appended = queries.expand(len(images), -1, -1).to(state.dtype)
            state = self.read(torch.cat([state, appended], dim=1), patches)
            done = (needed <= rollout)[:, None, None]
            first_seen = torch.cat([taken, state[:, taken.shape[1] :]], dim=1)
            taken = torch.where(done, first_seen, state)
        return taken
