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


class Projection(nn.Module):
    """Latents `[B, N, D]` to points `[B, N, C]`: one linear map, one bias per position."""

    def __init__(self, width: int, dimension: int, *, tokens: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dimension, width) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(tokens, dimension))

    def forward(self, latents: Tensor) -> Tensor:
        """Points in float32, also under autocast: a code must not change with the precision."""
        with torch.autocast(latents.device.type, enabled=False):
            return F.linear(latents.float(), self.weight) + self.bias

    @torch.no_grad()
    def calibrate(self, latents: Tensor, *, spread: float) -> None:
        """Centre every position over `latents` and give every dimension the deviation `spread`.

        Initialization from data (Salimans & Kingma 2016): untrained latents differ more between
        positions than between images, so their codes would hardly depend on the image, and a code
        that does not depend on the image teaches nothing.
        """
        points = self(latents)
        gain = spread / points.std(0).square().mean(0).sqrt().clamp(min=1e-6)
        self.weight *= gain[:, None]
        self.bias.copy_((self.bias - points.mean(0)) * gain)


class FSQ(nn.Module):
    """Finite scalar quantization (Mentzer et al. 2023, section 3): bound, round, no codebook."""

    # Small, so that training starts where the sigmoid is straight: at 1.75 few codes stayed in use.
    calibrated_spread = 0.5

    def __init__(self, width: int, settings: config.FSQ, *, tokens: int):
        super().__init__()
        self.codebook_size = settings.codebook_size
        self.dimension = len(settings.levels)
        self.project = Projection(width, self.dimension, tokens=tokens)
        levels = torch.tensor(settings.levels)
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer(
            "basis", torch.cumprod(F.pad(levels[:-1], (1, 0), value=1), 0), persistent=False
        )

    def forward(self, latents: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantize `latents [B, N, D]`; nothing is drawn and the loss is zero."""
        top = (self.levels - 1).float()
        scaled = torch.sigmoid(self.project(latents)) * top
        steps = scaled + (scaled.round() - scaled).detach()
        ids = (steps.detach().round().long() * self.basis).sum(-1)
        return Quantized(steps / top * 2 - 1, ids, scaled.new_zeros(()))

    def decode(self, ids: Tensor) -> Tensor:
        """Codes `[B, N, C]` in `[-1, 1]` of `ids [B, N]`."""
        steps = ids[..., None] // self.basis % self.levels
        return steps / (self.levels - 1).float() * 2 - 1


class VQ(nn.Module):
    """Nearest code on the unit sphere, codebook and commitment loss (van den Oord et al. 2017)."""

    # Points are normalised: only their directions count.
    calibrated_spread = 1.0

    def __init__(self, width: int, settings: config.VQ, *, tokens: int):
        super().__init__()
        self.settings = settings
        self.codebook_size = settings.codebook_size
        self.dimension = settings.dimension
        self.project = Projection(width, settings.dimension, tokens=tokens)
        directions = F.normalize(torch.randn(settings.codebook_size, settings.dimension), dim=-1)
        self.codebook = nn.Parameter(directions)
        # Expected draws per code and step, in units of the uniform share.
        self.register_buffer("usage", torch.ones(settings.codebook_size))

    def forward(self, latents: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantize `latents [B, N, D]`; in training, dead codes are revived with `generator`."""
        with torch.autocast(latents.device.type, enabled=False):
            points = F.normalize(self.project(latents.float()), dim=-1)
            if self.training:
                # Before the codebook is used: changing it between use and backward is an error.
                self._revive(points.detach(), generator)
            codebook = F.normalize(self.codebook, dim=-1)
            ids = (points.detach() @ codebook.detach().T).argmax(-1)
        nearest = codebook[ids]
        codebook_loss = (nearest - points.detach()).square().sum(-1).mean()
        commitment_loss = (points - nearest.detach()).square().sum(-1).mean()
        if self.training:
            self._count(ids)
        codes = points + (nearest - points).detach()
        return Quantized(codes, ids, codebook_loss + self.settings.commitment * commitment_loss)

    def _count(self, ids: Tensor) -> None:
        counts = torch.bincount(ids.flatten(), minlength=self.codebook_size)
        self.usage.lerp_(counts * self.codebook_size / ids.numel(), 1 - self.settings.usage_decay)

    @torch.no_grad()
    def _revive(self, points: Tensor, generator: torch.Generator | None) -> None:
        dead = (self.usage < self.settings.revive_below).nonzero().flatten()
        if len(dead):
            candidates = points.flatten(0, 1)
            picked = torch.randint(len(candidates), (len(dead),), generator=generator)
            self.codebook[dead] = candidates[picked.to(candidates.device)]
            self.usage[dead] = 1.0

    def decode(self, ids: Tensor) -> Tensor:
        """Unit codes `[B, N, C]` of `ids [B, N]`."""
        return F.normalize(self.codebook, dim=-1)[ids]


def build_quantizer(width: int, settings: config.FSQ | config.VQ, *, tokens: int) -> FSQ | VQ:
    """The quantizer that `settings` describe, for `tokens` latents of `width` dimensions."""
    kind = FSQ if isinstance(settings, config.FSQ) else VQ
    return kind(width, settings, tokens=tokens)
