"""The view of a bank and its images that an allocator gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.allocators.base import PARTS, Seen
from bench.artifacts.bank import Bank
from bench.data.image_set import read_image_set
from bench.data.sources.lazy import TakenPixels


def seen_of(
    bank: Bank,
    *,
    images: Path | None = None,
    columns: np.ndarray | None = None,
    parts: frozenset[str] = frozenset(PARTS),
) -> Seen:
    """Those of the `parts` that there are of a bank's images, memory-mapped but for the curves.

    `images` is the artifact of the images that the bank was made of, of which it may hold a part
    only; `columns` are the candidate budgets, without which there are no curves.
    """
    count, arrays = bank.about["images"]["count"], bank.about["arrays"]

    def array(name: str) -> np.ndarray | None:
        return bank.array(name) if name in parts and name in arrays else None

    return Seen(
        count=count,
        nested=bank.about.get("nested", True),
        pixels=None if images is None else _pixels(bank, images),
        latents=array("latents"),
        ids=array("ids"),
        curves=None if columns is None else bank.per_budget("mse")[:, columns],
    ).only(parts)


def _pixels(bank: Bank, images: Path) -> Any:
    """Pixels of the bank's images, in its order."""
    pixels, rows = read_image_set(images).pixels, bank.image_rows
    if rows is not None:
        return TakenPixels(pixels, rows)
    return pixels[: bank.about["images"]["count"]]
