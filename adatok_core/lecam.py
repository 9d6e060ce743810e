"""LeCam regularization of a discriminator (Tseng et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adatok_core.ranks import rank_count, sum_over_ranks

DECAY = 0.999


class LeCam(nn.Module):
    """Holds scores of one side near the running mean of the other's, which few images would not.

    Its buffer `anchors`, the running means of real and of reconstructed images, moves once a step,
    by the means of the whole batch: micro-batches and ranks change nothing.
    """

    anchors: Tensor
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("anchors", torch.zeros(2))
        self.register_buffer("seen", torch.zeros(3), persistent=False)

    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        """The mean of `max(0, real - a_fake)^2 + max(0, a_real - fake)^2`, scores of any shape."""
        of_real, of_fake = self.anchors.clone()
        with torch.no_grad():
            self.seen += torch.stack([real.mean(), fake.mean(), self.seen.new_ones(())])
        return F.relu(real - of_fake).square().mean() + F.relu(of_real - fake).square().mean()

    @torch.no_grad()
    def move(self) -> None:
        """Move the anchors by the scores since the last time."""
        seen = sum_over_ranks(self.seen) / rank_count()
        self.anchors.lerp_(seen[:2] / seen[2], 1 - DECAY)
        self.seen.zero_()
