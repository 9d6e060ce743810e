"""An allocator of another package, in one module."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.allocators.base import Allocation
from bench.config.allocators import AllocatorChoice


@dataclass(frozen=True, kw_only=True)
class Bright:
    """The largest budget for images brighter than most training images, else the smallest."""

    kind: Literal["bright"] = "bright"
    candidates: tuple[int, ...] | None = None
    share: float = 0.5


@dataclass(frozen=True)
class ByBrightness:
    above: float
    largest: int
    name: str = "bright"
    sees = frozenset({"pixels"})

    def allocate(self, seen):
        bright = seen.pixels.mean(axis=(1, 2, 3)) > self.above
        return Allocation(np.where(bright, self.largest, 0), about={"threshold": self.above})


def fit(config, fitting):
    brightness = fitting.training.pixels.mean(axis=(1, 2, 3))
    above = float(np.quantile(brightness, 1 - config.share))
    return ByBrightness(above, len(fitting.budgets) - 1)


ALLOCATOR = AllocatorChoice(config=Bright, build=fit, needs=frozenset({"training", "pixels"}))
