"""A few images of an evaluation, decoded again from the bank's ids, for galleries."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from adatok_core.protocols import Tokenizer
from adatok_core.tokenizer import to_float, to_uint8
from bench.artifacts.bank import Bank
from bench.artifacts.decodings import Decodings, Originals
from bench.artifacts.gallery import (
    FEWEST,
    MOST,
    ORIGINAL,
    Gallery,
    GalleryRow,
    extremes,
    spread_out,
)
from bench.artifacts.networks import self_halting
from bench.data.image_set import ImageSet

CHOSEN = "chosen budget"

Pictures = Callable[[np.ndarray], np.ndarray]


def curve_gallery(
    bank: Bank, images: ImageSet, decodings: Decodings, table: pd.DataFrame, *, device: str
) -> Gallery:
    """Images from the simplest to the most complex, at every budget.

    By known complexity where there is one, else by PNG size. `table` has a row per image and
    budget.
    """
    budgets = [int(budget) for budget in bank.budgets]
    first = table.iloc[:: len(budgets)]
    score = "complexity" if first["complexity"].notna().all() else "png_bytes"
    chosen = spread_out(first[score].tolist(), first["id"].tolist())
    decoded = [_decoded(bank, images, decodings, chosen, budget, device) for budget in budgets]
    psnr = table["psnr"].to_numpy().reshape(-1, len(budgets))
    rows = [
        _row(first.iloc[image], "", budgets, [float(value) for value in psnr[image]])
        for image in chosen
    ]
    pixels = np.stack([_originals(images, chosen), *decoded], axis=1)
    return Gallery(pixels, (ORIGINAL, *map(str, budgets)), tuple(rows))


def allocation_gallery(
    bank: Bank, images: ImageSet, decodings: Decodings, table: pd.DataFrame, *, device: str
) -> Gallery:
    """The images that got the fewest tokens and those that got the most, at these budgets.

    `table` has a row per image.
    """

    def decoded(chosen: np.ndarray) -> np.ndarray:
        budgets = table["budget"].to_numpy()[chosen]
        pictures = _originals(images, chosen)
        for budget in np.unique(budgets):
            here = budgets == budget
            pictures[here] = _decoded(bank, images, decodings, chosen[here], int(budget), device)
        return pictures

    return _extremes(images, table, decoded)


def own_gallery(
    images: ImageSet, tokenizer: Tokenizer, table: pd.DataFrame, target: float, *, device: str
) -> Gallery:
    """The same of a tokenizer that halts by itself, which has to see the images again."""

    @torch.inference_mode()
    def decoded(chosen: np.ndarray) -> np.ndarray:
        pixels = to_float(_pixels(images, chosen).to(device))
        own = tokenizer.decode(*self_halting(tokenizer).own_allocation(pixels, target))
        return _as_pictures(to_uint8(own))

    return _extremes(images, table, decoded)


def _extremes(images: ImageSet, table: pd.DataFrame, decoded: Pictures) -> Gallery:
    fewest, most = extremes(table["budget"].tolist(), table["id"].tolist())
    chosen = np.concatenate([fewest, most])
    groups = [FEWEST] * len(fewest) + [MOST] * len(most)
    rows = []
    for image, group in zip(chosen, groups, strict=True):
        row = table.iloc[image]
        rows.append(_row(row, group, [int(row["budget"])], [float(row["psnr"])]))
    pixels = np.stack([_originals(images, chosen), decoded(chosen)], axis=1)
    return Gallery(pixels, (ORIGINAL, CHOSEN), tuple(rows))


@torch.inference_mode()
def _decoded(
    bank: Bank,
    images: ImageSet,
    decodings: Decodings,
    chosen: np.ndarray,
    budget: int,
    device: str,
) -> np.ndarray:
    """Pictures of the chosen images at one budget, as the bank's numbers were measured on.

    From the bank's ids, where it has any.
    """
    ids = None
    if "ids" in bank.about["arrays"]:
        ids = torch.from_numpy(bank.array("ids")[chosen].astype(np.int64)).to(device)
    pixels = _pixels(images, chosen).to(device)
    originals = Originals(images.table["id"].iloc[chosen].tolist(), pixels)
    (decoded,) = decodings.pictures(originals, ids, [budget])
    return _as_pictures(decoded)


def _as_pictures(images: Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).cpu().numpy()


def _originals(images: ImageSet, chosen: np.ndarray) -> np.ndarray:
    return _pixels(images, chosen).permute(0, 2, 3, 1).numpy().copy()


def _pixels(images: ImageSet, chosen: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(images.pixels[chosen]))


def _row(row: Any, group: str, tokens: list[int], psnr: list[float]) -> GalleryRow:
    """Tokens and PSNRs are those of the columns after the original."""
    known = None if math.isnan(row["complexity"]) else float(row["complexity"])
    return GalleryRow(
        id=row["id"],
        group=group,
        tokens=(None, *tokens),
        # Equal pictures have an infinite PSNR, which JSON does not know.
        psnr=(None, *(value if math.isfinite(value) else None for value in psnr)),
        complexity=known,
        png_bytes=int(row["png_bytes"]),
    )
