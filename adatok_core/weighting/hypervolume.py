"""Hypervolume-guided meta-reward on fixed weights (Lu et al. 2025, arXiv 2509.11452)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from adatok_core.config import HypervolumeWeighting
from adatok_core.hypervolume import hypervolume
from adatok_core.weighting.base import StepView, Weighting


class Hypervolume(Weighting):
    """The advantages grow when the policy extends the front of its own past, else they are halved.

    Every `every` steps the policy's point `p` meets the front `B` of the points that helped before
    it, the untrained policy's first: with `gain = HV(B + {p}) - HV(B)`, `p` joins `B` if the gain
    is positive, and `advantage_scale = 0.5 + 1.5 tanh(gain / scale)`, in `[0.5, 2]`, until the
    next point; before the first it is 1. Unlike the published code, points are clipped to the
    reference before a volume is taken, so that a gain is never negative.
    """

    def __init__(self, config: HypervolumeWeighting, candidates: Sequence[int] = ()):
        self.config = config
        self.weights = torch.tensor([1 - config.efficiency, config.efficiency])
        self.advantage_scale = 1.0
        # The untrained policy's point is known when training begins.
        known = config.reference != "untrained"
        self.reference = np.array(config.reference if known else (np.nan, np.nan), np.float64)
        self.front = np.empty((0, 2))

    def begin(self, point: tuple[float, float]) -> None:
        """Take the untrained policy's point as the reference, or as the first of the front."""
        if self.config.reference == "untrained":
            self.reference = np.array(point, np.float64)
        self._extend(point)

    def update(self, view: StepView) -> None:
        """Every `every` steps: turn the hypervolume gained into the advantages' scale."""
        if view.step % self.config.every == 0:
            gain = self._extend(view.point())
            self.advantage_scale = 0.5 + 1.5 * math.tanh(gain / self.config.scale)

    def _extend(self, point: tuple[float, float]) -> float:
        """The volume that `point` adds to the front, which it joins if that is positive."""
        extended = np.vstack([self.front, point])
        before = hypervolume(self.front, self.reference)
        gain = max(0.0, hypervolume(extended, self.reference) - before)
        if gain > 0:
            dominated = (self.front <= point).all(-1)
            self.front = np.vstack([self.front[~dominated], point])
        return gain

    def state(self) -> dict[str, Tensor]:
        """The reference `[2]`, the front `[K, 2]` and the advantages' scale."""
        return {
            "reference": torch.tensor(self.reference),
            "front": torch.tensor(self.front),
            "advantage_scale": torch.tensor(self.advantage_scale, dtype=torch.float64),
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Resume from what `state` returned."""
        self.reference = tensors["reference"].numpy().copy()
        self.front = tensors["front"].numpy().copy()
        self.advantage_scale = tensors["advantage_scale"].item()
