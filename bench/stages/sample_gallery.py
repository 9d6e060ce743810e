"""A gallery of samples: a row per class, as `gallery.npy` and `gallery.json`."""

from __future__ import annotations

import numpy as np

from adatok_core.protocols import Tokenizer
from bench.artifacts.gallery import Gallery, GalleryRow
from bench.judging.pictures import pictures
from bench.stages.token_sets import TokenSet
from bench.store.stage import StageContext

ROWS, COLUMNS = 10, 8


def write_gallery(
    context: StageContext, tokenizer: Tokenizer, samples: TokenSet, *, conditional: bool
) -> None:
    """The first samples of up to 10 classes, spread over all of them; without classes, of any.

    Pixels uint8 `[G, K, H, W, 3]`; a row of the JSON has the class as its `group` and the number of
    `tokens` of each column.
    """
    labels = samples.labels if conditional else np.zeros_like(samples.labels)
    classes, counts = np.unique(labels, return_counts=True)
    shown = np.unique(np.linspace(0, len(classes) - 1, min(ROWS, len(classes))).round().astype(int))
    width = min(COLUMNS, *counts[shown].tolist(), len(labels))
    chosen = np.stack([np.flatnonzero(labels == classes[one])[:width] for one in shown])
    groups = [samples.names[int(classes[one])] if conditional else "" for one in shown]

    taken = samples.rows(chosen.ravel())
    pixels = np.empty((len(taken.ids), tokenizer.image_size, tokenizer.image_size, 3), np.uint8)
    for places, images in pictures(
        tokenizer,
        taken.ids,
        taken.lengths,
        batch=context.spec.config["batch"],
        device=context.spec.resources.device,
    ):
        pixels[places] = images.permute(0, 2, 3, 1).cpu().numpy()
    rows = [
        GalleryRow(
            id=f"sample/{row[0]:06d}",
            group=group,
            tokens=tuple(samples.lengths[row].tolist()),
            psnr=(None,) * width,
        )
        for row, group in zip(chosen, groups, strict=True)
    ]
    columns = tuple(f"sample {column + 1}" for column in range(width))
    shape = (*chosen.shape, *pixels.shape[1:])
    Gallery(pixels.reshape(shape), columns, tuple(rows)).write(context.work)
