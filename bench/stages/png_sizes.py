"""The stage of PNG sizes: bytes that each image of a split takes as a PNG, once for all cells."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench.allocators.scores import png_bytes
from bench.data.image_set import read_image_set
from bench.store.stage import StageContext

FILE = "png_bytes.npy"


def run(context: StageContext) -> dict[str, Any]:
    """Compress every image of the input `images`; the artifact is `png_bytes.npy`, int64 `[n]`.

    Uses as many threads as the stage has CPUs: compression does not hold Python's lock.
    """
    pixels = read_image_set(context.inputs["images"]).pixels
    sizes = np.empty(len(pixels), dtype=np.int64)
    with ThreadPoolExecutor(context.spec.resources.cpus) as threads:
        for index, size in enumerate(threads.map(png_bytes, pixels)):
            sizes[index] = size
            context.progress(index + 1, len(pixels), "PNG sizes")
    np.save(context.work / FILE, sizes, allow_pickle=False)
    return {"count": len(sizes), "mean_bytes": float(sizes.mean())}


def read_png_sizes(artifact: Path) -> np.ndarray:
    """Bytes `[n]` of each image of the set."""
    sizes: np.ndarray = np.load(artifact / FILE, allow_pickle=False)
    return sizes
