"""Residual vector quantization."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adatok_core import config
from adatok_core.quantizers.base import Quantized, Quantizer, join_digits, straight_through
from adatok_core.quantizers.codebooks import PositionNorm, count_usage, matching_loss, revive


class ResidualVQ(Quantizer):
    """Sums of `depth` codes, each nearest to what the ones before left (Lee et al. 2022, 3.1).

    The first depth is the lowest part of the id.
    """

    # Normalised behind the projection: here only the ratios between dimensions count.
    calibrated_spread = 1.0
    usage: Tensor

    def __init__(self, width: int, settings: config.ResidualVQ, *, tokens: int):
        sizes = (settings.entries,) * settings.depth
        super().__init__(width, settings.dimension, sizes, tokens=tokens)
        self.settings = settings
        self.norm = PositionNorm(tokens, settings.dimension)
        # Points of unit norm on average, as those of `VQ`.
        self.spread: float = settings.dimension**-0.5
        self.codebooks = nn.ParameterList(initial_codebooks(settings, spread=self.spread))
        # Expected draws per depth, code and step, in units of the uniform share.
        self.register_buffer("usage", torch.ones(settings.depth, settings.entries))

    def points(self, latents: Tensor, *, learn: bool = False) -> Tensor:
        """The normalised projection `[B, N, C]`, of unit norm on average."""
        points: Tensor = self.norm(self.project(latents), learn=learn)
        return points * self.spread

    def quantize(self, points: Tensor, generator: torch.Generator | None) -> Quantized:
        """Quantize `points [B, N, C]` depth by depth; with a `generator`, revive dead codes."""
        settings = self.settings
        codes, loss, parts = torch.zeros_like(points), points.new_zeros(()), []
        for codebook, usage in zip(self.codebooks, self.usage, strict=True):
            residual = points - codes
            if generator is not None:
                revive(codebook, usage, residual, below=settings.revive_below, generator=generator)
            chosen = nearest_ids(residual, codebook)
            if generator is not None:
                count_usage(usage, chosen, decay=settings.usage_decay)
            step = codebook[chosen]
            loss = loss + matching_loss(residual, step, commitment=settings.commitment)
            codes = codes + step.detach()
            parts.append(chosen)
        ids = join_digits(torch.stack(parts, dim=-1), self.code_sizes)
        return Quantized(straight_through(points, codes), ids, loss)

    def decode(self, ids: Tensor) -> Tensor:
        """Codes `[B, N, C]` of `ids [B, N]`: the sum over depths."""
        chosen = self.parts(ids).unbind(-1)
        codes = (book[part] for book, part in zip(self.codebooks, chosen, strict=True))
        return sum(codes, start=torch.zeros(()))


@torch.no_grad()
def nearest_ids(points: Tensor, codebook: Tensor) -> Tensor:
    """Ids `[B, N]` of the codes of `codebook [V, C]` nearest to `points [B, N, C]`."""
    return (codebook.square().sum(-1) - 2 * points @ codebook.T).argmin(-1)


def initial_codebooks(settings: config.ResidualVQ, *, spread: float) -> list[Tensor]:
    """Normal codes `[entries, C]` per depth for normal points of deviation `spread`.

    By the rate-distortion function of a normal source (Cover & Thomas 2006, section 10.3), of a
    variance `s^2` the best `V` codes leave `d = V^(-2/C) s^2`, and vary by `s^2 - d` themselves.
    """
    left = settings.entries ** (-1 / settings.dimension)
    shape = (settings.entries, settings.dimension)
    return [
        spread * left**depth * (1 - left**2) ** 0.5 * torch.randn(shape)
        for depth in range(settings.depth)
    ]
