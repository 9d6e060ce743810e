"""Pictures as text of a page: figures, and a cell's gallery in small."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.artifacts.gallery import Gallery, GalleryRow

TILE, GAP = 64, 2
MOST_BYTES = 12_000_000  # Of all galleries of a page, which is to fit an e-mail.


@dataclass(frozen=True)
class Sheet:
    """Images of a gallery side by side, one below the other for each column of the gallery."""

    uri: str
    alt: str
    caption: str


def figure_uri(path: Path) -> tuple[str, int, int]:
    """A chart as a data URI, its width and height in pixels; 256 colours are enough for one."""
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    return _uri(small), *small.size


def photograph_uri(path: Path) -> tuple[str, int, int]:
    """A figure with photographs as a data URI, as it is."""
    with Image.open(path) as image:
        size = image.size
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}", *size


def sheets(gallery: Gallery) -> list[Sheet]:
    """The gallery as pictures, one for each group of its images."""
    groups = dict.fromkeys(row.group for row in gallery.rows)
    return [_sheet(gallery, group) for group in groups]


def _sheet(gallery: Gallery, group: str) -> Sheet:
    places = [place for place, row in enumerate(gallery.rows) if row.group == group]
    tiles = [[_tile(picture) for picture in gallery.pixels[place]] for place in places]
    high, wide, _ = tiles[0][0].shape
    count, kinds = len(places), len(gallery.columns)
    shape = (kinds * (high + GAP) - GAP, count * (wide + GAP) - GAP, 3)
    sheet = np.full(shape, 255, dtype=np.uint8)
    for x, images in enumerate(tiles):
        for y, tile in enumerate(images):
            top, left = y * (high + GAP), x * (wide + GAP)
            sheet[top : top + high, left : left + wide] = tile
    rows = [gallery.rows[place] for place in places]
    caption = _caption(group, gallery.columns, rows)
    return Sheet(
        _uri(Image.fromarray(sheet)), f"{count} images in {kinds} rows. {caption}", caption
    )


def _tile(picture: np.ndarray) -> np.ndarray:
    picture = np.asarray(picture)
    if max(picture.shape[:2]) <= TILE:
        return picture
    image = Image.fromarray(picture)
    image.thumbnail((TILE, TILE), Image.Resampling.BOX)
    return np.asarray(image)


def _caption(group: str, columns: Sequence[str], rows: Sequence[GalleryRow]) -> str:
    names = ", ".join(f"{name} tokens" if name.isdigit() else name for name in columns)
    about = f"From the top: {names}."
    spent = [row.tokens[-1] for row in rows]
    if group:
        return f"{group.capitalize()}: {', '.join(map(str, spent))}. {about}"
    return about


def _uri(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
