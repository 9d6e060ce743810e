"""Made-up images where a suite cut to a dry run looks for them: JPEG files, or shards of them."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.datasets import ImageFolder, WebDataset
from bench.data.image_folder import SplitFolders, list_images
from bench.data.manifest import split_of
from bench.data.sources.shard_writing import write_shards
from bench.suite.dry_settings import FOLDER
from bench.suite.loading import Suite

CLASSES = ("a", "b")
SHARD_BYTES = 2**20
# Larger than the crop, and no square.
ASPECT = (5 / 4, 9 / 8)


def write_images(suite: Suite, counts: Mapping[str, int]) -> None:
    """Write what the cells of a suite cut to a dry run look for, each set once.

    `counts` says how many images of each split there are.
    """
    for data in {cell.config.data: None for cell in suite.cells}:
        if isinstance(data, ImageFolder):
            folder = Path(data.path)
        elif isinstance(data, WebDataset):
            folder = Path(data.shards["train"][0]).parents[1] / FOLDER
        else:
            continue
        undivided = isinstance(data, ImageFolder) and data.undivided
        if not folder.exists():
            _write_folder(
                folder,
                counts,
                resolution=data.resolution,
                calibration=data.calibration_fraction,
                undivided=undivided,
            )
        if isinstance(data, WebDataset):
            out = Path(data.shards["train"][0]).parent
            listing = list_images(folder, SplitFolders("train", "validation"))
            write_shards(listing, out, size=SHARD_BYTES, progress=lambda done: None)


def _write_folder(
    folder: Path,
    counts: Mapping[str, int],
    *,
    resolution: int,
    calibration: float,
    undivided: bool,
) -> None:
    """A tree of `train` and `validation` with classes below, or of classes alone.

    Content decides which validation images are set aside: so many are made that both have theirs.
    """
    splits = ["validation"] if undivided else ["train", "validation"]
    wanted = {split: counts[split] for split in [*splits, *["calibration"] * bool(calibration)]}
    there: Counter[str] = Counter()
    for number, data in enumerate(_files(resolution)):
        own = "train" if there["train"] < wanted.get("train", 0) else "validation"
        split = split_of(own, hashlib.sha256(data).hexdigest(), 0, calibration)
        if there[split] < wanted[split]:
            name = CLASSES[there[split] % len(CLASSES)]
            place = folder / name if undivided else folder / own / name
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number:04d}.jpg").write_bytes(data)
            there[split] += 1
        if there == Counter(wanted):
            return


def _files(resolution: int) -> Iterator[bytes]:
    """JPEG files without end: smooth colours and some noise."""
    size = round(ASPECT[0] * resolution), round(ASPECT[1] * resolution)
    for number in itertools.count():
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
        smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.int16)
        noisy = (smooth + rng.integers(-16, 17, smooth.shape)).clip(0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(noisy).save(file, "JPEG")
        yield file.getvalue()
