"""Weights of an image's loss by the budget that serves its length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from adatok_core.budgets import heads_of
from adatok_core.config import LengthSampling
from adatok_core.lengths import expected_shares
from adatok_core.ranks import sum_over_ranks

# Distortions of a budget are remembered for about a hundred steps.
DECAY = 0.99


class LengthWeights(nn.Module):
    """Weights by budget whose mean over the decodings that a step is expected to make is 1.

    Its buffers are the running distortions, by which a resumed training weighs as before.

    Raises:
        ValueError: the policy chose none of the lengths that are drawn.
    """

    ends: Tensor
    shares: Tensor
    policy: Tensor
    sums: Tensor
    counts: Tensor

    def __init__(
        self,
        budgets: Sequence[int],
        batch: int,
        *,
        config: LengthSampling,
        chosen: Tensor | None,
    ):
        super().__init__()
        self.kind = config.weights
        self.register_buffer("ends", torch.tensor(budgets), persistent=False)
        shares = expected_shares(budgets, batch, config=config, chosen=chosen)
        self.register_buffer("shares", shares, persistent=False)
        policy = torch.zeros(len(budgets))
        if self.kind == "policy" and chosen is not None:
            policy = torch.bincount(heads_of(chosen, budgets), minlength=len(budgets)) / len(chosen)
            if not (shares * policy).any():
                raise ValueError("lengths.weights: the policy chose none of the lengths drawn")
        self.register_buffer("policy", policy, persistent=False)
        self.register_buffer("sums", torch.zeros(len(budgets)))
        self.register_buffer("counts", torch.zeros(len(budgets)))

    def of(self, kept: Tensor) -> Tensor:
        """Weights of lengths `kept` in `1..b_M`, of any shape."""
        raw = self.policy if self.kind == "policy" else self._inverse_distortions()
        weights = raw / (self.shares * raw).sum()
        return weights[torch.searchsorted(self.ends, kept)]

    def _inverse_distortions(self) -> Tensor:
        """A budget that has not been seen counts as the mean of all; before any was, all as one."""
        seen = self.sums.sum() / self.counts.sum()
        means = torch.where(self.counts > 0, self.sums / self.counts, seen)
        # Images without any error must not make the others' weights vanish.
        inverse = 1 / torch.maximum(means, 1e-3 * seen).clamp(min=1e-12)
        return torch.where(self.counts.sum() > 0, inverse, torch.ones_like(inverse))

    def forget(self) -> None:
        """Let older distortions count for less, once in a step."""
        self.sums.mul_(DECAY)
        self.counts.mul_(DECAY)

    def observe(self, kept: Tensor, distortions: Tensor) -> None:
        """Remember the `distortions [B]` of images decoded at `kept [B]`, those of all ranks."""
        heads = torch.arange(len(self.ends), device=kept.device)
        served = torch.searchsorted(self.ends, kept)[:, None] == heads
        sums = (served * distortions.detach()[:, None]).sum(0)
        of_all = sum_over_ranks(torch.stack([sums, served.sum(0).to(sums.dtype)]))
        self.sums.add_(of_all[0])
        self.counts.add_(of_all[1])
