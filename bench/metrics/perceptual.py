"""Perceptual distance between two batches, from the feature maps of one network."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F


def perceptual_distance(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> torch.Tensor:
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
    return sum(
        (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(1).mean((1, 2))
        for x, y in zip(a, b, strict=True)
    )
