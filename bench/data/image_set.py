"""Configs of the image sources, and the image set they are built into and stored as."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from bench.data import fluent_scenes, image_folder
from bench.data.backgrounds import BACKGROUNDS
from bench.data.image_folder import UnreadableFile
from bench.errors import UserError

Progress = Callable[[int, int], None]
SPLITS = ("train", "validation", "calibration")
COLUMNS = ("id", "sha256", "label", "label_name", "complexity")


@dataclass(frozen=True, kw_only=True)
class FluentScenes:
    """Procedural scenes of emoji: so many images of `resolution` px in each split.

    The `calibration` images are like the validation ones, and none of them.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    kind: Literal["fluent_scenes"] = "fluent_scenes"
    resolution: int = 32
    train: int = 16000
    validation: int = 2000
    calibration: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = fluent_scenes.MIN_RESOLUTION, fluent_scenes.MAX_RESOLUTION
        _check(low <= self.resolution <= high, "resolution", f"between {low} and {high}")
        _check(self.train >= 1, "train", "at least 1")
        _check(self.validation >= 1, "validation", "at least 1")
        _check(self.calibration >= 0, "calibration", "at least 0")
        _check(self.seed >= 0, "seed", "at least 0")


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """A tree of images at `path`; see `bench.data.image_folder` for classes, splits and faults.

    `calibration_fraction` of the validation images are set aside for calibration.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    kind: Literal["image_folder"] = "image_folder"
    path: str
    resolution: int = 64
    validation_fraction: float = 0.2
    calibration_fraction: float = 0.0
    max_unreadable: float = 0.01

    def __post_init__(self) -> None:
        _check(self.path != "", "path", "the path of a folder")
        _check(self.resolution >= 1, "resolution", "at least 1")
        _check(0 < self.validation_fraction < 1, "validation_fraction", "between 0 and 1")
        _check(0 <= self.calibration_fraction < 1, "calibration_fraction", "from 0 to below 1")
        _check(0 <= self.max_unreadable <= 1, "max_unreadable", "from 0 to 1")


def _check(holds: bool, key: str, expected: str) -> None:
    if not holds:
        raise ValueError(f"{key} must be {expected}")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The images of one split in memory or memory-mapped.

    pixels: uint8 `[n, 3, H, W]`.
    table: one row per image: `id`, `sha256` (of its pixels' bytes), `label`, `label_name`,
        `complexity` (NaN when unknown); an image folder adds `file_sha256`, `file_size`, `width`
        and `height` of the file.
    unreadable: files of the folder that are not in the set, with the reason.
    """

    pixels: np.ndarray
    table: pd.DataFrame
    unreadable: tuple[UnreadableFile, ...] = ()

    @property
    def digest(self) -> str:
        """sha256 over the shape and the images' hashes in their order."""
        text = f"{self.pixels.shape}\n" + "\n".join(self.table["sha256"])
        return hashlib.sha256(text.encode()).hexdigest()


def build_image_set(
    config: FluentScenes | ImageFolder, split: str, *, progress: Progress | None = None
) -> ImageSet:
    """Render or read a split; `progress(done, total)` after each image.

    Raises UserError for a folder that is missing, empty, or unreadable beyond its threshold.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    progress = progress or (lambda done, total: None)
    if isinstance(config, FluentScenes):
        return _build_scenes(config, split, progress)
    return _build_folder(config, split, progress)


def _build_scenes(config: FluentScenes, split: str, progress: Progress) -> ImageSet:
    count = getattr(config, split)
    pixels = np.empty((count, 3, config.resolution, config.resolution), np.uint8)
    objects, labels = np.empty(count), np.empty(count, np.int64)
    for index in range(count):
        scene = fluent_scenes.render_scene(
            index, split=split, seed=config.seed, resolution=config.resolution
        )
        pixels[index], objects[index], labels[index] = scene.pixels, scene.objects, scene.label
        progress(index + 1, count)
    table = pd.DataFrame(
        {
            "id": [f"{split}/{index:06d}" for index in range(count)],
            "sha256": _hashes(pixels),
            "label": labels,
            "label_name": [BACKGROUNDS[label] for label in labels],
            "complexity": objects,
        }
    )
    return ImageSet(pixels=pixels, table=table)


def _build_folder(config: ImageFolder, split: str, progress: Progress) -> ImageSet:
    root = Path(config.path)
    manifest = image_folder.build_manifest(
        root,
        validation_fraction=config.validation_fraction,
        calibration_fraction=config.calibration_fraction,
        max_unreadable=config.max_unreadable,
    )
    files = manifest.files[manifest.files["split"] == split].reset_index(drop=True)
    if files.empty:
        raise UserError(f"image folder {root}: its {split} split has no images; add more images")
    pixels = np.empty((len(files), 3, config.resolution, config.resolution), np.uint8)
    for index, path in enumerate(files["path"]):
        pixels[index] = image_folder.load_image(root / path, resolution=config.resolution)
        progress(index + 1, len(files))
    classes = sorted(set(manifest.files["label_name"]))
    table = pd.DataFrame(
        {
            "id": files["path"],
            "sha256": _hashes(pixels),
            "label": files["label_name"].map(classes.index).astype(np.int64),
            "label_name": files["label_name"],
            "complexity": np.nan,
        }
    ).join(files[["file_sha256", "file_size", "width", "height"]])
    return ImageSet(pixels=pixels, table=table, unreadable=manifest.unreadable)


def _hashes(pixels: np.ndarray) -> list[str]:
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels]


def write_image_set(image_set: ImageSet, folder: Path) -> None:
    """Write images.npy, images.parquet and image_set.json; the caller makes the folder atomic."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", image_set.pixels, allow_pickle=False)
    image_set.table.to_parquet(folder / "images.parquet", index=False)
    about = {
        "digest": image_set.digest,
        "count": len(image_set.pixels),
        "resolution": image_set.pixels.shape[-1],
        "unreadable": [asdict(file) for file in image_set.unreadable],
    }
    (folder / "image_set.json").write_text(json.dumps(about, indent=2) + "\n")


def read_image_set(folder: Path) -> ImageSet:
    """Read what `write_image_set` wrote, pixels memory-mapped.

    Raises UserError when a file is missing or damaged, or when the files disagree. The pixels are
    not hashed again: that would read them all.
    """
    try:
        about = json.loads((folder / "image_set.json").read_text())
        pixels = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        table = pd.read_parquet(folder / "images.parquet")
        unreadable = tuple(UnreadableFile(**file) for file in about["unreadable"])
        expected = (about["count"], 3, about["resolution"], about["resolution"])
        digest = about["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read the image set in {folder} ({error}); build it again"
        ) from error
    image_set = ImageSet(pixels=pixels, table=table, unreadable=unreadable)
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
