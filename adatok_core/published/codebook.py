"""Codebook of a published tokenizer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from adatok_core.published.layers import read
from adatok_core.published.weights import Weights


@dataclass(frozen=True)
class Codebook:
    """Codes `[K, C]` in float32, and half their squared lengths, if they are not unit vectors."""

    codes: Tensor
    half_squares: Tensor | None

    @classmethod
    def of(cls, weights: Weights, *, l2_normalised: bool) -> Codebook:
        """Take `embedding.weight`; codes and latents count as unit vectors if `l2_normalised`."""
        size, width = (weights.size("embedding.weight", axis) for axis in (0, 1))
        codes = read(weights, "embedding.weight", size, width)
        if l2_normalised:
            return cls(F.normalize(codes, dim=-1), None)
        return cls(codes, codes.square().sum(-1) / 2)

    def nearest(self, latents: Tensor) -> Tensor:
        """Ids `[B, N]` of the codes nearest to float32 `latents [B, N, C]`."""
        # Neither the length of a latent nor that of unit codes changes which is nearest.
        if self.half_squares is None:
            return (latents @ self.codes.T).argmax(-1)
        return torch.sub(latents @ self.codes.T, self.half_squares).argmax(-1)

    def __call__(self, ids: Tensor) -> Tensor:
        """Codes `[B, N, C]` of `ids [B, N]`."""
        return self.codes[ids]
