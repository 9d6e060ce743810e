"""Lookup-free quantization."""

from __future__ import annotations

import torch
from torch import Tensor

from adatok_core import config
from adatok_core.quantizers.base import (
    Quantized,
    Quantizer,
    join_digits,
    split_digits,
    straight_through,
)
from adatok_core.ranks import mean_over_ranks

# Keeps the slope of the entropy finite where a bit is certain.
CERTAIN = 1e-6


class LFQ(Quantizer):
    """Signs of the points (Yu et al. 2024, MAGVIT-v2, section 3.1): codes of -1 and 1.

    The first dimension is the lowest bit of the id; zero counts as positive.
    """

    # Points are then as large as the signs they are to commit to.
    calibrated_spread = 1.0

    def __init__(self, width: int, settings: config.LFQ, *, tokens: int):
        super().__init__(width, settings.bits, (settings.codebook_size,), tokens=tokens)
        self.settings = settings

    def quantize(self, points: Tensor, generator: torch.Generator | None) -> Quantized:
        """Signs of `points [B, N, C]`, with commitment and entropy loss; nothing is drawn."""
        settings = self.settings
        bits = (points >= 0).long()
        signs = bits.float() * 2 - 1
        commitment = (points - signs).square().mean()
        chances = torch.sigmoid(2 * points / settings.temperature)
        per_token = bits_entropy(chances).mean()
        of_batch = bits_entropy(mean_over_ranks(chances.mean((0, 1))))
        loss = settings.commitment * commitment + settings.entropy_weight * (
            per_token - settings.diversity * of_batch
        )
        return Quantized(straight_through(points, signs), join_digits(bits, self._radix), loss)

    def decode(self, ids: Tensor) -> Tensor:
        """Codes `[B, N, C]` of -1 and 1 of `ids [B, N]`."""
        return split_digits(ids, self._radix).float() * 2 - 1

    @property
    def _radix(self) -> tuple[int, ...]:
        return (2,) * self.dimension


def bits_entropy(chances: Tensor) -> Tensor:
    """Entropy `[...]` in nats of independent bits that are 1 with `chances [..., C]`."""
    chances = chances.clamp(CERTAIN, 1 - CERTAIN)
    entropies: Tensor = torch.special.entr(chances) + torch.special.entr(1 - chances)
    return entropies.sum(-1)
