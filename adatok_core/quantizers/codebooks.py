"""Loss, usage statistics and revival of learned codebooks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adatok_core.ranks import joined_over_ranks, mean_over_ranks, rank_count, sum_over_ranks

# PyTorch's default of batch normalization.
EPSILON = 1e-5


class PositionNorm(nn.Module):
    """Points `[B, N, C]` with mean 0 and deviation 1 over images, at each position and dimension.

    Batch normalization in front of a learned codebook (Lancucki et al. 2020, section 3): without
    it the commitment loss shifts all points to one code within 50 steps. Running statistics serve
    wherever the module must not change.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, tokens: int, dimension: int, *, momentum: float = 0.1):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(tokens * dimension))
        self.register_buffer("variance", torch.ones(tokens * dimension))

    def forward(self, points: Tensor, *, learn: bool) -> Tensor:
        """Normalise with the batch's statistics and average them in, or with the running ones.

        The batch is that of all ranks.
        """
        images = len(points) * rank_count()
        learn = learn and images > 1
        flat = points.flatten(1)
        # There may be fewer points than all tokens; they are the first ones.
        mean, variance = self.mean[: flat.shape[1]], self.variance[: flat.shape[1]]
        if learn and rank_count() > 1:
            flat = self._over_ranks(flat, mean, variance, images)
        else:
            flat = F.batch_norm(flat, mean, variance, training=learn, momentum=self.momentum)
        return flat.view_as(points)

    def _over_ranks(self, flat: Tensor, mean: Tensor, variance: Tensor, images: int) -> Tensor:
        """Batch normalization of `flat [B, C]` over `images` of all ranks; the running values move.

        By definition: that of PyTorch over several processes is for GPUs only.
        """
        of_batch = mean_over_ranks(flat.mean(0))
        centred = flat - of_batch
        spread = mean_over_ranks(centred.square().mean(0))
        with torch.no_grad():
            mean.lerp_(of_batch, self.momentum)
            variance.lerp_(spread * images / (images - 1), self.momentum)
        return centred * (spread + EPSILON).rsqrt()


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
    """Average the draws of `ids [B, N]` of all ranks into `usage [V]`, in uniform shares."""
    draws = sum_over_ranks(torch.bincount(ids.flatten(), minlength=len(usage)))
    usage.lerp_(draws * len(usage) / (ids.numel() * rank_count()), 1 - decay)


@torch.no_grad()
def revive(
    codebook: Tensor, usage: Tensor, points: Tensor, *, below: float, generator: torch.Generator
) -> None:
    """Replace codes of `codebook [V, C]` whose `usage [V]` fell `below` by `points [B, N, C]`
    of all ranks.

    No two codes become the same point: when there are more dead codes than distinct points, the
    rest waits for the next batch. Call it before the codebook is used: changing it between use and
    backward is an error.
    """
    dead = (usage < below).nonzero().flatten()
    if len(dead):
        # Sorted, so that it does not matter which rank has which.
        distinct = joined_over_ranks(points).flatten(0, 1).unique(dim=0)
        dead = dead[: len(distinct)]
        picked = torch.randperm(len(distinct), generator=generator)[: len(dead)]
        codebook[dead] = distinct[picked.to(distinct.device)]
        usage[dead] = 1.0
