"""Rewards of every image at every candidate budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RewardTable:
    """Fidelity `q [n, M]` and efficiency `e [M]`, both larger-is-better.

    `q` is minus the distortion, shifted and scaled so that on average over the images the smallest
    budget has 0 and the full one 1; `e_m = 1 - b_m / N`.
    """

    fidelity: Tensor
    efficiency: Tensor

    @staticmethod
    def of(distortion: Tensor, candidates: Sequence[int], *, max_tokens: int) -> RewardTable:
        """Rewards from `distortion [n, M]` at `candidates`, of a tokenizer of `max_tokens`.

        Raises `ValueError` when the largest candidate is on average no better than the smallest.
        """
        mean = distortion.mean(0)
        gain = mean[0] - mean[-1]
        if not gain > 0:
            raise ValueError(
                f"distortion does not fall from budget {candidates[0]} to {candidates[-1]}: "
                "this tokenizer does not use its tokens"
            )
        efficiency = 1 - torch.tensor(candidates, dtype=distortion.dtype) / max_tokens
        return RewardTable((mean[0] - distortion) / gain, efficiency)

    def scalar(self, images: Tensor, weights: Tensor) -> Tensor:
        """`w_q q_m + w_e e_m` of `images [b]` under `weights [2]`: `[b, M]`."""
        return weights[0] * self.fidelity[images] + weights[1] * self.efficiency
