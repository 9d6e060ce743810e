"""A tokenizer that learns where to halt, given a target quality (KARL, Duggal et al. 2025)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from adatok_core.budgets import prefix_mask
from adatok_core.encoders.halting import Halting, target_bins
from adatok_core.tokenizer import ElasticTokenizer, Reconstruction

HALT_ABOVE = 0.75


class HaltingTokenizer(ElasticTokenizer):
    """Its encoder reads a target error and says which tokens are more than it takes.

    A target is a mean absolute error on [0, 1]. Budgets that are given from outside are encoded
    with a target near zero.
    """

    encoder: Halting
    passes = 2

    def forward(
        self, images: Tensor, kept: Tensor, generator: torch.Generator | None = None
    ) -> Reconstruction:
        """Reconstruct `images` twice from the first `kept [B]` tokens of each.

        First for a target near zero, which shows the error that `kept` tokens come to; then for
        that error as the target, where the tokens behind `kept` are to be halted.
        """
        estimate = super().forward(images, kept, generator)
        with torch.no_grad():
            errors = (estimate.images.float().clamp(0, 1) - images).abs().mean((1, 2, 3))
        latents = self.encoder(images, bins=target_bins(errors))
        # Without a generator: codes may be revived once only, before any of them is used.
        quantized = self.quantizer(latents)
        output = self.decode_codes(quantized.codes, kept)
        halted = (~prefix_mask(kept, self.max_tokens)).float()
        logits = self.encoder.halting_logits(latents).float()
        losses = {
            "quantizer_loss": (estimate.losses["quantizer_loss"] + quantized.loss) / 2,
            "halting_loss": F.binary_cross_entropy_with_logits(logits, halted),
        }
        return Reconstruction(torch.cat([estimate.images, output]), quantized, losses)

    def own_allocation(self, images: Tensor, target: float) -> tuple[Tensor, Tensor]:
        """Ids `[B, N]` and how many of them each of `images [B, 3, H, W]` keeps, `[B]`.

        All before the first token that is halted with a probability above 0.75, one at least.
        Raises `ValueError` for a `target` that is no error in `(0, 1)`.
        """
        if not 0 < target < 1:
            raise ValueError(f"target: {target} is no mean absolute error in (0, 1)")
        errors = torch.full((len(images),), target, device=images.device)
        latents = self.encoder(images, bins=target_bins(errors))
        kept = self.encoder.halting_logits(latents).sigmoid() <= HALT_ABOVE
        leading = kept.long().cumprod(1).sum(1)
        return self.quantizer(latents).ids, leading.clamp(min=1)
