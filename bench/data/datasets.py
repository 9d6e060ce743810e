"""Image sources: what may be set of each, and the registry that other packages may add to.

Every command imports this: nothing here needs pandas, which takes long to import.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from adatok_core.choices import Choice, OneOf
from adatok_core.registry import Registry
from bench.data import fluent_scenes
from bench.data.augment import Augment
from bench.data.image_folder import SplitFolders
from bench.data.selection import Selectable


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
    augment: Augment | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_augment(self.augment, "pixels")
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

    `store`: the `pixels` of all images are written into the store, or they stay in their `files`,
    and are decoded whenever they are looked at. `augment` varies the training images.
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
    store: Literal["pixels", "files"] = "pixels"
    augment: Augment | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_augment(self.augment, self.store)
        _check(self.path != "", "path", "the path of a folder")
        _check(self.resolution >= 1, "resolution", "at least 1")
        _check_fractions(self)
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


@dataclass(frozen=True, kw_only=True)
class WebDataset(Selectable):
    """Tar shards in the layout of webdataset: `KEY.jpg` (or another format), `KEY.cls` beside it.

    `train` and `validation` are patterns of local paths, such as `/data/train-{0000..1023}.tar` or
    `val-*.tar`, or lists of them; without `validation`, the content divides the images. `classes`
    is a file of the names of classes that are numbers, one a line. The rest is as in an
    `image_folder`.
    """

    kind: Literal["webdataset"] = "webdataset"
    train: str | tuple[str, ...]
    validation: str | tuple[str, ...] | None = None
    classes: str | None = None
    resolution: int = 64
    validation_fraction: float = 0.2
    calibration_fraction: float = 0.0
    max_unreadable: float = 0.01
    store: Literal["pixels", "files"] = "files"
    augment: Augment | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_augment(self.augment, self.store)
        _check(self.resolution >= 1, "resolution", "at least 1")
        _check_fractions(self)
        for key in ("train", "validation"):
            given = getattr(self, key)
            _check(given is None or all(_several(given) or [""]), key, "patterns of paths")

    @property
    def shards(self) -> dict[str, Any]:
        """Patterns and the file of classes, as `bench.data.sources.places` takes them."""
        found: dict[str, Any] = {"train": _several(self.train)}
        if self.validation is not None:
            found["validation"] = _several(self.validation)
        if self.classes is not None:
            found["classes"] = self.classes
        return found


class Dataset(Protocol):
    """A frozen dataclass that names images; `resolution` is their side in px."""

    @property
    def kind(self) -> str:
        """The name that the dataset is registered under."""

    @property
    def resolution(self) -> int:
        """Side of all images in px."""


# `build(config, split, folder, progress=...)` writes a split as an `ImageSet`. Apart from folders
# and shards, datasets have the sizes `train`, `validation` and `calibration`, with defaults.
DATASETS: Registry[Choice] = Registry("dataset", group="adatok_bench.datasets", expects=Choice)
DATASETS.add("fluent_scenes", Choice(config=FluentScenes, build="bench.data.writing:write_scenes"))
DATASETS.add("image_folder", Choice(config=ImageFolder, build="bench.data.writing:write_folder"))

DATASETS.add("webdataset", Choice(config=WebDataset, build="bench.data.writing:write_survey"))

DatasetConfig = Annotated[Dataset, OneOf(DATASETS)]


def _check(holds: bool, key: str, expected: str) -> None:
    if not holds:
        raise ValueError(f"{key} must be {expected}")


def _check_fractions(data: ImageFolder | WebDataset) -> None:
    _check(0 < data.validation_fraction < 1, "validation_fraction", "between 0 and 1")
    _check(0 <= data.calibration_fraction < 1, "calibration_fraction", "from 0 to below 1")
    _check(0 <= data.max_unreadable <= 1, "max_unreadable", "from 0 to 1")


def _check_augment(augment: Augment | None, stored: Literal["pixels", "files"]) -> None:
    """Refuse crops of images that are kept at the resolution alone."""
    _check(
        augment is None or augment.crop == "centre" or stored == "files",
        "augment.crop",
        "centre, as pixels are kept at the resolution; others take images that stay in their "
        "files (data.store: files)",
    )


def _several(given: str | tuple[str, ...]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)
