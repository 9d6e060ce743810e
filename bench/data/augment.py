"""Augmentation of training images: a pure function of (seed, epoch, index), of images as stored.

Images that are evaluated, or that a bank is made of, keep the one centre crop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from adatok_core.config.checks import Strict, require

# Shares of the shorter side (ADM, arXiv 2105.05233) and of the area (arXiv 1409.4842).
SCALES = {"random": (0.8, 1.0), "resized": (0.08, 1.0)}
ASPECT = (3 / 4, 4 / 3)
ATTEMPTS = 10
_DRAWS = 4 * ATTEMPTS + 1


@dataclass(frozen=True, kw_only=True)
class Augment(Strict):
    """Random crops and flips of training images, each epoch others.

    `random` crops are squares whose side is a share drawn from `scale` of the image's shorter side,
    anywhere in it. `resized` ones take such a share of its area, at an aspect ratio from 3/4 to 4/3
    (Szegedy et al. 2015). `centre` is the crop of evaluation. `flip` mirrors half of all images.
    """

    crop: Literal["random", "resized", "centre"] = "random"
    scale: tuple[float, float] | None = None
    flip: bool = True

    def __post_init__(self) -> None:
        if self.crop == "centre":
            require(self.scale is None, "scale: the centre crop has none; leave it out")
            require(self.flip, "crop: centre without flip changes nothing; leave augment out")
        if self.scale is not None:
            low, high = self.scale
            require(0 < low <= high <= 1, f"scale: {list(self.scale)} must rise within (0, 1]")

    def box(self, size: tuple[int, int], draws: np.ndarray) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the crop of an image of this width and height, in px."""
        width, height = size
        low, high = self.scale or SCALES[self.crop]
        if self.crop == "random":
            side = min(size) * (low + (high - low) * draws[1])
            return _placed(size, side, side, draws[2:])
        for attempt in range(ATTEMPTS):
            part = draws[1 + 4 * attempt : 5 + 4 * attempt]
            area = width * height * (low + (high - low) * part[0])
            ratio = math.exp(math.log(ASPECT[0]) + math.log(ASPECT[1] / ASPECT[0]) * part[1])
            across, down = math.sqrt(area * ratio), math.sqrt(area / ratio)
            if across <= width and down <= height:
                return _placed(size, across, down, part[2:])
        # The largest part of the middle that has an aspect ratio which is allowed.
        ratio = min(max(width / height, ASPECT[0]), ASPECT[1])
        across, down = min(width, height * ratio), min(height, width / ratio)
        return _placed(size, across, down, np.array([0.5, 0.5]))


def _placed(
    size: tuple[int, int], across: float, down: float, where: np.ndarray
) -> tuple[float, float, float, float]:
    left, top = (size[0] - across) * where[0], (size[1] - down) * where[1]
    return left, top, min(left + across, size[0]), min(top + down, size[1])


def draws_of(seed: int, epochs: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Uniform numbers `[b, draws]` in [0, 1) of images in an epoch: splitmix64 of all three.

    The first one decides on the flip, the others on the crop.
    """
    with np.errstate(over="ignore"):
        state = _mixed(np.asarray(epochs, np.uint64) + _mixed(np.uint64(seed)))
        state = _mixed(np.asarray(indices, np.uint64) + state)
        steps = np.arange(1, _DRAWS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (_mixed(state[:, None] + steps) >> np.uint64(11)).astype(np.float64) / 2**53


def _mixed(value: np.ndarray | np.uint64) -> np.ndarray:
    """The finaliser of splitmix64 (Steele et al. 2014)."""
    found = np.asarray(value, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = found ^ (found >> np.uint64(31))
    return mixed


def cropped(
    image: Image.Image, augment: Augment, draws: np.ndarray, *, resolution: int
) -> np.ndarray:
    """The crop of an RGB image that `draws` decide on, uint8 `[3, R, R]`, not yet flipped."""
    box = augment.box(image.size, draws)
    image = image.resize((resolution, resolution), Image.Resampling.BICUBIC, box=box)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def flipped(pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """An image uint8 `[3, R, R]`, mirrored where the first draw says so."""
    return np.ascontiguousarray(pixels[:, :, ::-1]) if draws[0] < 0.5 else pixels
