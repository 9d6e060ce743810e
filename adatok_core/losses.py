"""Distances between images and their reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

PixelLoss = Literal["l1", "l2"]


def pixel_distance(a: Tensor, b: Tensor, *, kind: PixelLoss) -> Tensor:
    """Mean absolute (`l1`) or squared (`l2`) difference of two batches of one shape, scalar."""
    return F.l1_loss(a, b) if kind == "l1" else F.mse_loss(a, b)


def pixel_distances(a: Tensor, b: Tensor, *, kind: PixelLoss) -> Tensor:
    """The same for each image of the batches: `[B]`."""
    differences = (a - b).abs() if kind == "l1" else (a - b).square()
    return differences.flatten(1).mean(1)


def perceptual_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """LPIPS (Zhang et al. 2018, eq. 1) without learned channel weights, per image: `[B]`, >= 0.

    Each position's channel vector is scaled to unit length; the squared differences are summed over
    channels, averaged over positions and summed over the maps.

    Args:
        a, b: feature maps of the two batches, in the same order, each `[B, C, h, w]`.

    Raises:
        ValueError: the numbers of maps or their shapes differ.
    """
    if [m.shape for m in a] != [m.shape for m in b]:
        raise ValueError("the two batches have feature maps of different shapes")
    distances = (
        (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(1).mean((1, 2))
        for x, y in zip(a, b, strict=True)
    )
    return sum(distances, start=torch.zeros(()))


def discriminator_hinge(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of a discriminator (Lim & Ye 2017, eq. 6) for scores of any shape, scalar."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def generator_hinge(fake: Tensor) -> Tensor:
    """The other side: minus the mean score of what shall pass as real, scalar."""
    return -torch.mean(fake)
