"""A gallery of reconstructions as one sheet: a row per image, a column per budget."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SMALLEST, GAP, TEXT = 64, 4, 14


def read_gallery(path: Path) -> Image.Image | None:
    """The sheet of the gallery in the folder `path`; None where there is none that can be read.

    Columns are headed, and pictures are captioned with their tokens, as `gallery.json` says.
    """
    try:
        images = np.load(path / "gallery.npy", allow_pickle=False)
        about = json.loads((path / "gallery.json").read_text("utf-8"))
        captions = [
            ["" if n is None else f"{n} token{'s' * (n != 1)}" for n in row["tokens"]]
            for row in about["rows"]
        ]
        return sheet(images, columns=about["columns"], captions=captions)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def sheet(
    images: np.ndarray, *, columns: Sequence[str], captions: Sequence[Sequence[str]]
) -> Image.Image:
    """Lay out `uint8 [G, K, H, W, 3]`, enlarged by whole numbers where they are small.

    `columns [K]` head the columns, `captions [G, K]` stand below the pictures.

    Raises:
        ValueError: there are more or fewer of them than pictures.
    """
    rows, count = images.shape[:2]
    if len(captions) != rows or {len(columns), *map(len, captions)} != {count}:
        raise ValueError(f"{rows} x {count} pictures, not as many headings and captions")
    scale = max(1, -(-SMALLEST // images.shape[2]))
    images = images.repeat(scale, axis=2).repeat(scale, axis=3)
    height, width = images.shape[2:4]
    size = (count * (width + GAP) + GAP, TEXT + rows * (height + TEXT))
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    for column in range(count):
        left = GAP + column * (width + GAP)
        pen.text((left, 1), columns[column], fill="black")
        for row in range(rows):
            top = TEXT + row * (height + TEXT)
            page.paste(Image.fromarray(images[row, column]), (left, top))
            pen.text((left, top + height + 1), captions[row][column], fill="black")
    return page
