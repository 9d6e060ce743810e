"""Scenes of 0 to 9 Fluent emoji on a flat, gradient or textured background.

Image `index` of a split is a pure function of (seed, split, index, resolution). All random numbers
are in units of the picture's side, so the same index shows the same scene at every resolution.
Emoji are stored at 64 px: above about 128 px the larger ones are enlarged and look soft.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from bench.data.backgrounds import between, draw_background, pick
from bench.data.emoji import EMOJI_SIZE, emoji_groups, load_emoji

MAX_OBJECTS = 9
SMALLEST, LARGEST = 0.2, 0.6
MIN_RESOLUTION, MAX_RESOLUTION = 16, 256

# A picture's pixel is at most 64 / (0.2 * 16) = 20 emoji pixels wide; its box has to stay inside.
_MARGIN = 20


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture. pixels: uint8 `[3, R, R]`; objects: 0..9; label: index into BACKGROUNDS."""

    pixels: np.ndarray
    objects: int
    label: int


@dataclass(frozen=True)
class _Placed:
    """An emoji in a scene: size of its side and its centre, as fractions of the picture's side."""

    emoji: int
    size: float
    x: float
    y: float


def render_scene(index: int, *, split: str, seed: int, resolution: int) -> Scene:
    """Scene `index` (>= 0) of a split at a resolution of 16..256 px.

    `calibration` scenes are others than the `validation` ones, of the same emoji.
    """
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise ValueError(
            f"resolution must be between {MIN_RESOLUTION} and {MAX_RESOLUTION}, got {resolution}"
        )
    if index < 0:
        raise ValueError(f"index must be at least 0, got {index}")
    rng = _generator(f"fluent_scenes/{seed}/{split}/{index}")
    label, canvas = draw_background(rng, resolution)
    emoji_split = "validation" if split == "calibration" else split
    placed = [_place(rng, emoji_split) for _ in range(pick(rng, MAX_OBJECTS + 1))]
    # Small ones on top, so that few objects are hidden entirely.
    for item in sorted(placed, key=lambda item: -item.size):
        _composite(canvas, item)
    pixels = np.rint(canvas.clip(0, 255)).astype(np.uint8)
    return Scene(
        pixels=np.ascontiguousarray(pixels.transpose(2, 0, 1)), objects=len(placed), label=label
    )


def _generator(name: str) -> np.random.Generator:
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
    return np.random.Generator(np.random.Philox(key=key))


def _place(rng: np.random.Generator, split: str) -> _Placed:
    groups = emoji_groups(split)
    variants = groups[pick(rng, len(groups))]
    return _Placed(
        emoji=variants[pick(rng, len(variants))],
        size=SMALLEST * (LARGEST / SMALLEST) ** rng.random(),
        x=between(rng, 0.05, 0.95),
        y=between(rng, 0.05, 0.95),
    )


def _composite(canvas: np.ndarray, item: _Placed) -> None:
    """Draw an emoji over the canvas, float32 `[R, R, 3]`, in place: `colour + (1 - alpha) * under`.

    Its corners may lie between pixels. Pillow resamples the premultiplied 8-bit colours in integers
    with a filter as wide as the reduction (antialiased), which every machine rounds alike.
    """
    resolution = len(canvas)
    side = item.size * resolution
    left, top = item.x * resolution - side / 2, item.y * resolution - side / 2
    x0, x1 = max(math.floor(left), 0), min(math.ceil(left + side), resolution)
    y0, y1 = max(math.floor(top), 0), min(math.ceil(top + side), resolution)
    scale = EMOJI_SIZE / side
    box = (
        (x0 - left) * scale + _MARGIN,
        (y0 - top) * scale + _MARGIN,
        (x1 - left) * scale + _MARGIN,
        (y1 - top) * scale + _MARGIN,
    )
    patch = np.asarray(
        _padded(item.emoji).resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC, box=box),
        np.float32,
    )
    under = canvas[y0:y1, x0:x1]
    under *= 1 - patch[:, :, 3:] / 255
    under += patch[:, :, :3]


def _padded(emoji: int) -> Image.Image:
    """The emoji with a transparent margin, so that a box may reach beyond its border."""
    size = EMOJI_SIZE + 2 * _MARGIN
    padded = np.zeros((size, size, 4), np.uint8)
    padded[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = load_emoji().pixels[emoji]
    return Image.frombytes("RGBa", (size, size), padded.tobytes())
