"""Vector quantization."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adatok_core import config
from adatok_core.quantizers.base import Quantized, Quantizer, straight_through
from adatok_core.quantizers.codebooks import PositionNorm, count_usage, matching_loss, revive


class VQ(Quantizer):
    """Nearest code on the unit sphere (Yu et al. 2022, ViT-VQGAN, section 3.2)."""

    # Points are normalised: only their directions count.
    calibrated_spread = 1.0
    usage: Tensor

    def __init__(self, width: int, settings: config.VQ, *, tokens: int):
        super().__init__(width, settings.dimension, (settings.codebook_size,), tokens=tokens)
        self.settings = settings
        self.norm = PositionNorm(tokens, settings.dimension)
        directions = F.normalize(torch.randn(settings.codebook_size, settings.dimension), dim=-1)
        self.codebook = nn.Parameter(directions)
        # Expected draws per code and step, in units of the uniform share.
        self.register_buffer("usage", torch.ones(settings.codebook_size))

    def points(self, latents: Tensor, *, learn: bool = False) -> Tensor:
        """Directions `[B, N, C]` of the normalised projection."""
        return F.normalize(self.norm(self.project(latents), learn=learn), dim=-1)

    def quantize(self, points: Tensor, generator: torch.Generator | None) -> Quantized:
        """Quantize directions `points [B, N, C]`; with a `generator`, revive dead codes."""
        settings = self.settings
        if generator is not None:
            below = settings.revive_below
            revive(self.codebook, self.usage, points, below=below, generator=generator)
        codebook = F.normalize(self.codebook, dim=-1)
        ids = (points.detach() @ codebook.detach().T).argmax(-1)
        if generator is not None:
            count_usage(self.usage, ids, decay=settings.usage_decay)
        nearest = codebook[ids]
        loss = matching_loss(points, nearest, commitment=settings.commitment)
        return Quantized(straight_through(points, nearest), ids, loss)

    def decode(self, ids: Tensor) -> Tensor:
        """Unit codes `[B, N, C]` of `ids [B, N]`."""
        return F.normalize(self.codebook, dim=-1)[ids]
