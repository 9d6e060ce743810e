"""Images to look at a tokenizer with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.decoding import square
from bench.data.fluent_scenes import MAX_RESOLUTION, MIN_RESOLUTION, render_scene
from bench.data.image_folder import all_images
from bench.data.manifest import decoded_or_reason
from bench.errors import UserError
from bench.files import open_regular

COUNT = 8


def scenes(resolution: int) -> np.ndarray:
    """Generated scenes and, last, noise: float32 `[8, 3, R, R]` in [0, 1]."""
    side = min(max(resolution, MIN_RESOLUTION), MAX_RESOLUTION)
    drawn = [
        render_scene(index, split="validation", seed=0, resolution=side).pixels
        for index in range(COUNT - 1)
    ]
    images = [Image.fromarray(pixels.transpose(1, 2, 0)) for pixels in drawn]
    pixels = [np.asarray(image.resize((resolution, resolution))) for image in images]
    noise = np.random.default_rng(0).integers(0, 256, (resolution, resolution, 3), np.uint8)
    return _floats(np.stack([*pixels, noise]).transpose(0, 3, 1, 2))


def photographs(folder: Path, resolution: int) -> np.ndarray:
    """Images of a folder, at equal distances in the order of their paths, as `scenes`.

    Raises:
        UserError: it has no images, or one of these cannot be read.
    """
    paths = all_images(folder).paths
    chosen = paths[:: max(1, len(paths) // COUNT)][:COUNT]
    pixels = []
    for path in chosen:
        with open_regular(folder / path) as file:
            found = decoded_or_reason(file)
        if isinstance(found, str):
            raise UserError(f"--images {folder / path}: {found}; remove it, or give another folder")
        pixels.append(square(found.image, resolution=resolution))
    return _floats(np.stack(pixels))


def _floats(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels, dtype=np.float32) / np.float32(255)
