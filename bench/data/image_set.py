"""Configs of the image sources, and the image set that a split of them is stored as.

images.npy          pixels, uint8 `[n, 3, H, W]`
images.parquet      one row per image
image_set.json      digest, count, resolution, unreadable files
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import pandas as pd

from adatok_core.choices import Choice, OneOf
from adatok_core.registry import Registry
from bench.data import fluent_scenes
from bench.data.image_folder import SplitFolders
from bench.data.manifest import UnreadableFile
from bench.data.selection import Selectable
from bench.errors import UserError

COLUMNS = ("id", "sha256", "label", "label_name", "complexity")


@dataclass(frozen=True, kw_only=True)
class FluentScenes(Selectable):
    """Procedural scenes of emoji: so many images of `resolution` px in each split.

    The `calibration` images are like the validation ones, and none of them.
    """

    kind: Literal["fluent_scenes"] = "fluent_scenes"
    resolution: int = 32
    train: int = 16000
    validation: int = 2000
    calibration: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = fluent_scenes.MIN_RESOLUTION, fluent_scenes.MAX_RESOLUTION
        _check(low <= self.resolution <= high, "resolution", f"between {low} and {high}")
        _check(self.train >= 1, "train", "at least 1")
        _check(self.validation >= 1, "validation", "at least 1")
        _check(self.calibration >= 0, "calibration", "at least 0")
        _check(self.seed >= 0, "seed", "at least 0")

    def most(self, split: Literal["train", "validation", "calibration"]) -> int:
        """Images of a split, of which `ids` may leave fewer."""
        count: int = getattr(self, split)
        return count if self.limit is None else min(count, self.limit)


@dataclass(frozen=True, kw_only=True)
class ImageFolder(Selectable):
    """A tree of images at `path`; see `bench.data.manifest` and `image_folder` for what is read.

    `train_folder` and `validation_folder` name top folders as splits where the tree leaves room
    for doubt (`bench.data.image_folder.SplitFolders`). `calibration_fraction` of the validation
    images are set aside for calibration. An `undivided` folder is for evaluation alone: all images
    below it are validation images, its top folders are classes whatever they are called.
    """

    kind: Literal["image_folder"] = "image_folder"
    path: str
    resolution: int = 64
    validation_fraction: float = 0.2
    calibration_fraction: float = 0.0
    max_unreadable: float = 0.01
    train_folder: str | None = None
    validation_folder: str | None = None
    undivided: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.path != "", "path", "the path of a folder")
        _check(self.resolution >= 1, "resolution", "at least 1")
        _check(0 < self.validation_fraction < 1, "validation_fraction", "between 0 and 1")
        _check(0 <= self.calibration_fraction < 1, "calibration_fraction", "from 0 to below 1")
        _check(0 <= self.max_unreadable <= 1, "max_unreadable", "from 0 to 1")
        for key in ("train_folder", "validation_folder"):
            name = getattr(self, key)
            _check(
                name is None or (name not in ("", "..") and "/" not in name), key, "one top folder"
            )
        if self.train_folder == "." or self.validation_folder == ".":
            _check(self.train_folder == ".", "train_folder", "'.' where validation_folder is")
            _check(self.validation_folder in (None, "."), "validation_folder", "absent or '.'")
        if self.undivided:
            _check(self.calibration_fraction == 0, "calibration_fraction", "0 where undivided")
            for key in ("train_folder", "validation_folder"):
                _check(getattr(self, key) in (None, "."), key, "absent where undivided")

    @property
    def folders(self) -> SplitFolders:
        """The splits that the configuration names itself."""
        if self.undivided:
            return SplitFolders(".", undivided=True)
        return SplitFolders(self.train_folder, self.validation_folder)


class Dataset(Protocol):
    """A frozen dataclass that names images; `resolution` is their side in px."""

    @property
    def kind(self) -> str:
        """The name that the dataset is registered under."""

    @property
    def resolution(self) -> int:
        """Side of all images in px."""


# `build(config, split, folder, progress=...)` writes a split as an `ImageSet`. Apart from folders,
# datasets have the sizes `train`, `validation` and `calibration`, with defaults.
DATASETS: Registry[Choice] = Registry("dataset", group="adatok_bench.datasets", expects=Choice)
DATASETS.add("fluent_scenes", Choice(config=FluentScenes, build="bench.data.writing:write_scenes"))
DATASETS.add("image_folder", Choice(config=ImageFolder, build="bench.data.writing:write_folder"))

DatasetConfig = Annotated[Dataset, OneOf(DATASETS)]


def _check(holds: bool, key: str, expected: str) -> None:
    if not holds:
        raise ValueError(f"{key} must be {expected}")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The images of one split, memory-mapped.

    pixels: uint8 `[n, 3, H, W]`.
    table: one row per image: `id`, `sha256` (of its pixels' bytes), `label`, `label_name`,
        `complexity` (NaN when unknown); an image folder adds `file_sha256`, `file_size`, `width`
        and `height` of the file.
    unreadable: files of the folder that are not in the set, with the reason.
    selection: what was taken of the images, as `Selectable.selection`; None where all were.
    """

    pixels: np.ndarray
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
) -> ImageSet:
    """Make an image set of the pixels in `folder`: write images.parquet and image_set.json."""
    table.to_parquet(folder / "images.parquet", index=False)
    pixels = _open_pixels(folder)
    image_set = ImageSet(pixels, table, unreadable, selection)
    about = {
        "digest": image_set.digest,
        "count": len(pixels),
        "resolution": pixels.shape[-1],
        "unreadable": [asdict(file) for file in unreadable],
        **({"selection": selection} if selection else {}),
    }
    (folder / "image_set.json").write_text(json.dumps(about, indent=2) + "\n")
    return image_set


def read_image_set(folder: Path) -> ImageSet:
    """Read an image set, pixels memory-mapped.

    Raises UserError when a file is missing or damaged, or when the files disagree. The pixels are
    not hashed again: that would read them all.
    """
    try:
        about = json.loads((folder / "image_set.json").read_text())
        pixels = _open_pixels(folder)
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


def _open_pixels(folder: Path) -> np.ndarray:
    pixels: np.ndarray = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    return pixels
