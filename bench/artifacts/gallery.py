"""Galleries: a few images of a cell beside what came back of them, as an artifact holds them.

    gallery.npy     pixels, uint8 `[G, K, H, W, 3]`: `G` rows of `K` pictures
    gallery.json    `columns` (K names) and `rows` (G of them)

A row: `id`; `group` (empty, `fewest tokens`, `most tokens`, or what a generator names); `tokens`
and `psnr`, one entry per column, null where a column has none; `complexity` and `png_bytes` of the
original, null where unknown. A column that shows the original image is called `original`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import UserError
from bench.files import write_json
from bench.records.record import Record
from bench.store.integrity import has_travelled, verified

ORIGINAL = "original"
FEWEST, MOST = "fewest tokens", "most tokens"
IMAGES = 8


@dataclass(frozen=True, kw_only=True)
class GalleryRow:
    """One image of a gallery; see the module's text."""

    id: str
    group: str = ""
    tokens: tuple[int | None, ...]
    psnr: tuple[float | None, ...]
    complexity: float | None = None
    png_bytes: int | None = None


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures uint8 `[G, K, H, W, 3]`, names of their `K` columns, and a row per image."""

    pixels: np.ndarray
    columns: tuple[str, ...]
    rows: tuple[GalleryRow, ...]

    def write(self, folder: Path) -> None:
        """Write `gallery.npy`, then `gallery.json`, into `folder`.

        Raises:
            ValueError: pixels, columns and rows do not agree.
        """
        count, names = len(self.rows), len(self.columns)
        if self.pixels.dtype != np.uint8 or self.pixels.shape[:2] != (count, names):
            raise ValueError(
                f"a gallery of {count} rows and {names} columns has uint8 pixels of that shape, "
                f"not {self.pixels.dtype} {self.pixels.shape}"
            )
        if any(len(each) != names for row in self.rows for each in (row.tokens, row.psnr)):
            raise ValueError(f"a row has {names} tokens and PSNRs, one for each column")
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "gallery.npy", self.pixels, allow_pickle=False)
        rows = [asdict(row) for row in self.rows]
        write_json(folder / "gallery.json", {"columns": list(self.columns), "rows": rows})

    @staticmethod
    def read(folder: Path) -> Gallery:
        """The gallery of an artifact, pixels memory-mapped.

        Raises:
            UserError: a file is missing or damaged, or the two do not agree.
        """
        try:
            pixels = np.load(folder / "gallery.npy", mmap_mode="r", allow_pickle=False)
            about = json.loads((folder / "gallery.json").read_text("utf-8"))
            rows = tuple(_row(raw) for raw in about["rows"])
            columns = tuple(about["columns"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"cannot read the gallery in {folder} ({error}); run its suite again"
            ) from None
        if pixels.shape[:2] != (len(rows), len(columns)) or pixels.ndim != 5:
            raise UserError(
                f"the gallery in {folder} is inconsistent: gallery.npy holds {pixels.shape}, "
                f"gallery.json {len(rows)} rows and {len(columns)} columns; run its suite again"
            )
        return Gallery(pixels, columns, rows)


def gallery_of(record: Record, store: Path) -> Gallery | None:
    """The gallery that a record names, from the store's root; None where it has none.

    Raises:
        UserError: it names one that cannot be read.
        DamagedError: it is damaged, or gone from the store.
    """
    if record.gallery is None:
        return None
    folder = store / record.gallery
    if not has_travelled(folder):
        verified(folder, "gallery.npy", "gallery.json", suite=record.suite)
    return Gallery.read(folder)


def _row(raw: dict[str, Any]) -> GalleryRow:
    return GalleryRow(**{**raw, "tokens": tuple(raw["tokens"]), "psnr": tuple(raw["psnr"])})


def spread_out(scores: Sequence[float], ids: Sequence[str], *, count: int = IMAGES) -> np.ndarray:
    """Indices of `count` images at evenly spaced ranks of a score, lowest and highest included.

    Ties go by id; all images where there are no more.
    """
    order = np.lexsort((np.asarray(ids), np.asarray(scores)))
    ranks = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(np.int64)
    return order[ranks]


def extremes(
    tokens: Sequence[int], ids: Sequence[str], *, count: int = IMAGES
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images with the fewest tokens, and of those with the most; none is in both.

    Ties go by id. Where there are fewer than twice `count` images, each half gets its half.
    """
    each = min(count, math.ceil(len(tokens) / 2))
    fewest = np.lexsort((ids, tokens))[:each]
    most = np.lexsort((np.asarray(ids), -np.asarray(tokens)))
    return fewest, most[~np.isin(most, fewest)][:each]
