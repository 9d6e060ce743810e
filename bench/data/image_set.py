"""The image set that a split of a dataset is stored as.

images.npy          pixels, uint8 `[n, 3, H, W]`; or, where the images stay in their files,
rows.bin            int64 `[n]`: which ones of the source (`bench.data.sources.located`)
images.parquet      one row per image
image_set.json      digest, count, resolution, unreadable files

With pixels or without, a set of the same images has the same table and digest.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.data.manifest import UnreadableFile
from bench.data.sources.lazy import LazyPixels, PixelArray
from bench.data.sources.located import LocatedImages
from bench.errors import UserError

COLUMNS = ("id", "sha256", "label", "label_name", "complexity")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The images of one split, memory-mapped or decoded when they are looked at.

    pixels: uint8 `[n, 3, H, W]`.
    table: one row per image: `id`, `sha256` (of its pixels' bytes), `label`, `label_name`,
        `complexity` (NaN when unknown); an image folder adds `file_sha256`, `file_size`, `width`
        and `height` of the file.
    unreadable: files of the folder that are not in the set, with the reason.
    selection: what was taken of the images, as `Selectable.selection`; None where all were.
    """

    pixels: PixelArray
    table: pd.DataFrame
    unreadable: tuple[UnreadableFile, ...] = ()
    selection: dict[str, Any] | None = None

    @property
    def digest(self) -> str:
        """sha256 over the shape and the images' hashes in their order."""
        text = f"{self.pixels.shape}\n" + "\n".join(self.table["sha256"])
        return hashlib.sha256(text.encode()).hexdigest()


def write_about(
    table: pd.DataFrame,
    unreadable: tuple[UnreadableFile, ...],
    folder: Path,
    *,
    selection: dict[str, Any] | None = None,
    source: str | None = None,
    resolution: int | None = None,
) -> ImageSet:
    """Make an image set of the pixels in `folder`: write images.parquet and image_set.json.

    Where there are rows instead, `source` is the digest of what they are rows of, and `resolution`
    the side of its images.
    """
    table.to_parquet(folder / "images.parquet", index=False)
    files = {"files": {"source": source}} if source else {}
    pixels = _open_pixels(folder, {**files, "resolution": resolution})
    image_set = ImageSet(pixels, table, unreadable, selection)
    about = {
        "digest": image_set.digest,
        "count": len(pixels),
        "resolution": pixels.shape[-1],
        "unreadable": [asdict(file) for file in unreadable],
        **({"selection": selection} if selection else {}),
        **files,
    }
    (folder / "image_set.json").write_text(json.dumps(about, indent=2) + "\n")
    return image_set


def read_image_set(folder: Path) -> ImageSet:
    """Read an image set, its pixels not yet.

    Raises UserError when a file is missing or damaged, or when the files disagree. The pixels are
    not hashed again: that would read them all.
    """
    try:
        about = json.loads((folder / "image_set.json").read_text())
        pixels = _open_pixels(folder, about)
        table = pd.read_parquet(folder / "images.parquet")
        unreadable = tuple(UnreadableFile(**file) for file in about["unreadable"])
        expected = (about["count"], 3, about["resolution"], about["resolution"])
        digest = about["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read the image set in {folder} ({error}); build it again"
        ) from error
    image_set = ImageSet(pixels, table, unreadable, about.get("selection"))
    if pixels.shape != expected or pixels.dtype != np.uint8 or len(table) != len(pixels):
        raise UserError(
            f"the image set in {folder} is inconsistent: images.npy holds {pixels.dtype} "
            f"{pixels.shape}, images.parquet {len(table)} rows, image_set.json says {expected}; "
            "build it again"
        )
    if not set(COLUMNS) <= set(table.columns) or image_set.digest != digest:
        raise UserError(
            f"the image set in {folder} is inconsistent: images.parquet does not match the digest "
            "in image_set.json; build it again"
        )
    return image_set


def read_pixels(folder: Path) -> PixelArray:
    """The pixels of an image set alone: its table may take more memory than a training.

    Raises UserError when a file is missing or damaged.
    """
    try:
        return _open_pixels(folder, json.loads((folder / "image_set.json").read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read the image set in {folder} ({error}); build it again"
        ) from error


def _open_pixels(folder: Path, about: dict[str, Any]) -> PixelArray:
    if "files" in about:
        # Beside the stages, as `bench.store.store` has it.
        source = folder.parent.parent / "sources" / about["files"]["source"]
        images = LocatedImages(source, folder / "rows.bin", resolution=about["resolution"])
        return LazyPixels(images)
    pixels: np.ndarray = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    return pixels
