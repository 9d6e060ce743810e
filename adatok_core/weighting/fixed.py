"""Weights that never move."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from adatok_core.config import FixedWeighting
from adatok_core.weighting.base import Weighting


class Fixed(Weighting):
    """`(1 - efficiency, efficiency)` all through training."""

    def __init__(self, config: FixedWeighting, candidates: Sequence[int] = ()):
        self.weights = torch.tensor([1 - config.efficiency, config.efficiency])
