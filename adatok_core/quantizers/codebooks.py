"""Loss, usage statistics and revival of learned codebooks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PositionNorm(nn.Module):
    """Points `[B, N, C]` with mean 0 and deviation 1 over images, at each position and dimension.

    Batch normalization in front of a learned codebook (Lancucki et al. 2020, section 3): without
    it the commitment loss shifts all points to one code within 50 steps. Running statistics serve
    wherever the module must not change.
    """

    def __init__(self, tokens: int, dimension: int, *, momentum: float = 0.1):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(tokens * dimension))
        self.register_buffer("variance", torch.ones(tokens * dimension))

    def forward(self, points: Tensor, *, learn: bool) -> Tensor:
        """Normalise with the batch's statistics and average them in, or with the running ones."""
        learn = learn and len(points) > 1
        flat = points.flatten(1)
        # There may be fewer points than all tokens; they are the first ones.
        mean, variance = self.mean[: flat.shape[1]], self.variance[: flat.shape[1]]
        flat = F.batch_norm(flat, mean, variance, training=learn, momentum=self.momentum)
        return flat.view_as(points)


def matching_loss(points: Tensor, codes: Tensor, *, commitment: float) -> Tensor:
    """Codebook and commitment loss (van den Oord et al. 2017, equation 3), scalar.

    The mean over tokens of `|codes - sg(points)|^2 + commitment x |points - sg(codes)|^2`, both
    `[B, N, C]`.
    """
    pull_codes = (codes - points.detach()).square().sum(-1).mean()
    pull_points = (points - codes.detach()).square().sum(-1).mean()
    return pull_codes + commitment * pull_points


@torch.no_grad()
def count_usage(usage: Tensor, ids: Tensor, *, decay: float) -> None:
    """Average the draws of `ids [B, N]` into `usage [V]`, in units of the uniform share."""
    draws = torch.bincount(ids.flatten(), minlength=len(usage))
    usage.lerp_(draws * len(usage) / ids.numel(), 1 - decay)


@torch.no_grad()
def revive(
    codebook: Tensor, usage: Tensor, points: Tensor, *, below: float, generator: torch.Generator
) -> None:
    """Replace codes of `codebook [V, C]` whose `usage [V]` fell `below` by `points [B, N, C]`.

    No two codes become the same point: when there are more dead codes than distinct points, the
    rest waits for the next batch. Call it before the codebook is used: changing it between use and
    backward is an error.
    """
    dead = (usage < below).nonzero().flatten()
    if len(dead):
        distinct = points.flatten(0, 1).unique(dim=0)
        dead = dead[: len(distinct)]
        picked = torch.randperm(len(distinct), generator=generator)[: len(dead)]
        codebook[dead] = distinct[picked.to(distinct.device)]
        usage[dead] = 1.0
