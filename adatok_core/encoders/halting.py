"""An encoder that is given a target quality and says where to halt (KARL, Duggal et al. 2025)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adatok_core.config import TokenizerConfig
from adatok_core.encoders.base import LATENT_QUERY_SCALE, Encoder
from adatok_core.positions import sequence_positions

# Upper ends of the bins of the target, a mean absolute error on [0, 1]. The first asks for an error
# near zero, what exceeds the last belongs to it. Between them 8 bins per doubling: over all budgets
# the error of an image falls by about a quarter, which coarser bins would not show.
TARGETS = (0.0, *(0.02 * 2 ** (step / 8) for step in range(33)))


def target_bins(errors: Tensor) -> Tensor:
    """Bins `[B]` of mean absolute errors `[B]`: the first whose end is not below the error."""
    ends = torch.tensor(TARGETS, device=errors.device)
    return torch.bucketize(errors, ends).clamp(max=len(TARGETS) - 1)


class Halting(Encoder):
    """A target token beside patches and queries; a halting logit for each latent.

    What is kept does not matter to it; without a target it encodes for an error near zero.
    """

    def __init__(self, config: TokenizerConfig, *, image_size: int):
        super().__init__(config, image_size=image_size, queries=config.max_tokens)
        self.targets = sequence_positions(len(TARGETS), config.width, scale=LATENT_QUERY_SCALE)
        self.halt = nn.Linear(config.width, 1)

    def forward(
        self, images: Tensor, kept: Tensor | None = None, *, bins: Tensor | None = None
    ) -> Tensor:
        """Latents `[B, N, D]` of `images [B, 3, H, W]` for the targets in `bins [B]`."""
        if bins is None:
            bins = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        patches = self.patches(images)
        targets = self.targets[bins][:, None].to(patches.dtype)
        return self.read(self.queries, torch.cat([patches, targets], dim=1))

    def halting_logits(self, latents: Tensor) -> Tensor:
        """Logits `[B, N]` of each token being one too many."""
        logits: Tensor = self.halt(latents)
        return logits.squeeze(-1)
