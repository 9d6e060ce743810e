"""A gallery of reconstructions as one sheet: a row per image, a column per budget."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SMALLEST, GAP, HEADING = 64, 4, 14


def read_gallery(path: Path) -> Image.Image | None:
    """The sheet of `path`, `uint8 [G, K, H, W, 3]`; None where there is no such file.

    Its columns are headed as the JSON file beside it says.
    """
    if path.is_dir():
        path = path / "gallery.npy"
    if not path.is_file():
        return None
    about = path.with_suffix(".json")
    columns = json.loads(about.read_text("utf-8")).get("columns", []) if about.is_file() else []
    return sheet(np.load(path), columns=[str(column) for column in columns])


def sheet(images: np.ndarray, *, columns: list[str]) -> Image.Image:
    """Lay out `uint8 [G, K, H, W, 3]`, enlarged by whole numbers where they are small."""
    scale = max(1, -(-SMALLEST // images.shape[2]))
    images = images.repeat(scale, axis=2).repeat(scale, axis=3)
    rows, count, height, width, _ = images.shape
    size = (count * (width + GAP) + GAP, HEADING + rows * (height + GAP))
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    for column in range(count):
        left = GAP + column * (width + GAP)
        if column < len(columns):
            pen.text((left, 1), columns[column], fill="black")
        for row in range(rows):
            top = HEADING + row * (height + GAP)
            page.paste(Image.fromarray(images[row, column]), (left, top))
    return page
