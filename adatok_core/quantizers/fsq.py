"""Finite scalar quantization."""

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


class FSQ(Quantizer):
    """Finite scalar quantization (Mentzer et al. 2023, section 3): bound, round, no codebook."""

    # Small, so that training starts where the sigmoid is straight: at 1.75 few codes stayed in use.
    calibrated_spread = 0.5
    top: Tensor

    def __init__(self, width: int, settings: config.FSQ, *, tokens: int):
        super().__init__(width, len(settings.levels), (settings.codebook_size,), tokens=tokens)
        self.levels = settings.levels
        top = torch.tensor(settings.levels).float() - 1
        self.register_buffer("top", top, persistent=False)

    def quantize(self, points: Tensor, generator: torch.Generator | None) -> Quantized:
        """Round `points [B, N, C]` to levels; nothing is drawn and the loss is zero."""
        bounded = torch.sigmoid(points)
        steps = (bounded * self.top).round()
        codes = straight_through(bounded, steps / self.top) * 2 - 1
        return Quantized(codes, join_digits(steps.long(), self.levels), points.new_zeros(()))

    def decode(self, ids: Tensor) -> Tensor:
        """Codes `[B, N, C]` in `[-1, 1]` of `ids [B, N]`."""
        return split_digits(ids, self.levels) / self.top * 2 - 1
