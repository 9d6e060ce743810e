"""Rewards of every image at every candidate budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adatok_core.config import Reward

# In units of the mean gain, far below anything visible. An image may be reconstructed exactly,
# and the logarithm of its distortion must stay finite.
MIN_DISTORTION = 1e-6
# In units of the mean gain: the fidelity of an image that gains next to nothing from more tokens
# would be nothing but noise, magnified without bound.
MIN_IMAGE_GAIN = 0.05

DEFAULT = Reward()


@dataclass(frozen=True)
class RewardTable:
    """Fidelity `q [n, M]` and efficiency `e [M]`, float32, both larger-is-better.

    `e_m = 1 - b_m / N`. With `D_m` an image's distortion at budget `m` in units of its mean gain
    from the smallest to the largest candidate, and `mean` over the images, fidelity is

    - absolute: `mean(D_1) - D_m`;
    - relative: `1 - log(D_m / D_M) / mean(log(D_1 / D_M))`, every `D` at least 1e-6;
    - per image: `(D_1 - D_m) / max(D_1 - D_M, 0.05)`.

    The first two are 0 at the smallest and 1 at the largest candidate on average over the images,
    the last for every image that gains at least 5 % of the mean gain.
    """

    fidelity: Tensor
    efficiency: Tensor

    @staticmethod
    def of(
        mse: Tensor,
        candidates: Sequence[int],
        *,
        max_tokens: int,
        config: Reward = DEFAULT,
        perceptual: Tensor | None = None,
    ) -> RewardTable:
        """Rewards from `mse` and `perceptual [n, M]` at `candidates`, of up to `max_tokens`.

        The tables may be memory-mapped, of any floating type; they are only read. Raises
        `ValueError` when the perceptual table is needed and missing, when a table has another
        shape, and when it does not fall on average from the smallest candidate to the largest.
        """
        share, shape = config.perceptual_share, (len(mse), len(candidates))
        used = [("squared", 1 - share, mse)] if share < 1 else []
        if share > 0:
            if perceptual is None:
                needed = "needs a table of perceptual distances"
                raise ValueError(f"perceptual_share: {share:g} {needed}")
            used.append(("perceptual", share, perceptual))
        for name, _, table in used:
            if table.shape != shape:
                raise ValueError(
                    f"{name} distortion: {tuple(table.shape)} is not images by candidates, {shape}"
                )
        terms = (
            weight * table.float() / _mean_and_gain(table, name, candidates)[1]
            for name, weight, table in used
        )
        distortion = sum(terms, start=torch.zeros(()))
        efficiency = 1 - torch.tensor(candidates, dtype=torch.float32) / max_tokens
        return RewardTable(_fidelity(distortion, config, candidates), efficiency)

    def scalar(self, images: Tensor, weights: Tensor) -> Tensor:
        """`w_q q_m + w_e e_m` of `images [b]` under `weights [2]`: `[b, M]`."""
        return weights[0] * self.fidelity[images] + weights[1] * self.efficiency


def _mean_and_gain(distortion: Tensor, name: str, candidates: Sequence[int]) -> tuple[float, float]:
    """The mean at the smallest candidate, and how far it falls to the largest."""
    mean = distortion[:, 0].mean(dtype=torch.float64).item()
    gain = mean - distortion[:, -1].mean(dtype=torch.float64).item()
    if not gain > 0:
        raise ValueError(
            f"{name} distortion does not fall from budget {candidates[0]} to {candidates[-1]} "
            "on average: this tokenizer does not use its tokens"
        )
    return mean, gain


def _fidelity(distortion: Tensor, config: Reward, candidates: Sequence[int]) -> Tensor:
    """Fidelity from `distortion [n, M]` in units of its mean gain."""
    if config.scale == "per_image":
        given = distortion[:, :1] - distortion
        return given / given[:, -1:].clamp(min=MIN_IMAGE_GAIN)
    if config.scale == "relative":
        distortion = distortion.clamp(min=MIN_DISTORTION).log()
        distortion = distortion - distortion[:, -1:]
    mean, gain = _mean_and_gain(distortion, config.scale, candidates)
    return (mean - distortion) / gain
