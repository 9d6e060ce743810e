"""Discrete bottlenecks behind one interface: latents `[B, N, D]` in, codes and ids out.

Every quantizer has `codebook_size`, `forward(latents, generator) -> Quantized` and
`decode(ids [B, N]) -> codes [B, N, C]`. Straight-through gradients throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adatok_core import config


@dataclass(frozen=True)
class Quantized:
    """Codes `[B, N, C]` with straight-through gradient, ids `[B, N]`, scalar training `loss`."""

    codes: Tensor
    ids: Tensor
    loss: Tensor


class FSQ(nn.Module):
    """Finite scalar quantization (Mentzer et al. 2023, section 3): bound, round, no codebook."""

    def __init__(self, width: int, settings: config.FSQ):
        super().__init__()
        self.codebook_size = settings.codebook_size
        self.dimension = len(settings.levels)
        self.project = nn.Linear(width, self.dimension)
        # Spread latents over all levels from the start: a code that rarely moves teaches nothing.
        nn.init.normal_(self.project.weight, std=1.75 * width**-0.5)
        levels = torch.tensor(settings.levels)
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer(
            "basis", torch.cumprod(F.pad(levels[:-1], (1, 0), value=1), 0), persistent=False
        )

    def forward(self, latents: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantize `latents [B, N, D]`; nothing is drawn and the loss is zero."""
        top = (self.levels - 1).float()
        # In fp32 also under autocast: a rounding boundary must not move with the precision.
        with torch.autocast(latents.device.type, enabled=False):
            scaled = torch.sigmoid(self.project(latents.float())) * top
        steps = scaled + (scaled.round() - scaled).detach()
        ids = (steps.detach().round().long() * self.basis).sum(-1)
        return Quantized(steps / top * 2 - 1, ids, scaled.new_zeros(()))

    def decode(self, ids: Tensor) -> Tensor:
        """Codes `[B, N, C]` in `[-1, 1]` of `ids [B, N]`."""
        steps = ids[..., None] // self.basis % self.levels
        return steps / (self.levels - 1).float() * 2 - 1


class VQ(nn.Module):
    """Nearest code on the unit sphere, codebook and commitment loss (van den Oord et al. 2017)."""

    def __init__(self, width: int, settings: config.VQ):
        super().__init__()
        self.settings = settings
        self.codebook_size = settings.codebook_size
        self.dimension = settings.dimension
        self.project = nn.Linear(width, settings.dimension)
        directions = F.normalize(torch.randn(settings.codebook_size, settings.dimension), dim=-1)
        self.codebook = nn.Parameter(directions)
        # Expected draws per code and step, in units of the uniform share.
        self.register_buffer("usage", torch.ones(settings.codebook_size))

    def forward(self, latents: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantize `latents [B, N, D]`; in training, dead codes are revived with `generator`."""
        with torch.autocast(latents.device.type, enabled=False):
            points = F.normalize(self.project(latents.float()), dim=-1)
            codebook = F.normalize(self.codebook, dim=-1)
            ids = (points.detach() @ codebook.detach().T).argmax(-1)
        nearest = codebook[ids]
        codebook_loss = (nearest - points.detach()).square().sum(-1).mean()
        commitment_loss = (points - nearest.detach()).square().sum(-1).mean()
        if self.training:
            self._revive(points.detach(), ids, generator)
        codes = points + (nearest - points).detach()
        return Quantized(codes, ids, codebook_loss + self.settings.commitment * commitment_loss)

    @torch.no_grad()
    def _revive(self, points: Tensor, ids: Tensor, generator: torch.Generator | None) -> None:
        counts = torch.bincount(ids.flatten(), minlength=self.codebook_size)
        self.usage.lerp_(counts * self.codebook_size / ids.numel(), 1 - self.settings.usage_decay)
        dead = (self.usage < self.settings.revive_below).nonzero().flatten()
        if len(dead):
            candidates = points.flatten(0, 1)
            picked = torch.randint(len(candidates), (len(dead),), generator=generator)
            self.codebook[dead] = candidates[picked.to(candidates.device)]
            self.usage[dead] = 1.0

    def decode(self, ids: Tensor) -> Tensor:
        """Unit codes `[B, N, C]` of `ids [B, N]`."""
        return F.normalize(self.codebook, dim=-1)[ids]


def build_quantizer(width: int, settings: config.FSQ | config.VQ) -> FSQ | VQ:
    """The quantizer that `settings` describe, for latents of `width` dimensions."""
    return FSQ(width, settings) if isinstance(settings, config.FSQ) else VQ(width, settings)
