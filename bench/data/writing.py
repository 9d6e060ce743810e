"""Writing one split of an image source as an image set, image by image."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.data import fluent_scenes
from bench.data.backgrounds import BACKGROUNDS
from bench.data.datasets import FluentScenes, ImageFolder, WebDataset
from bench.data.decoding import load_image
from bench.data.image_set import ImageSet, write_about
from bench.data.manifest import Manifest, files_of_split
from bench.data.selection import Selectable, chosen, read_ids, require_known
from bench.data.sources.located import LocatedImages
from bench.errors import UserError
from bench.files import open_regular

Progress = Callable[[int, int], None]
SPLITS = ("train", "validation", "calibration")


def write_scenes(
    config: FluentScenes, split: str, folder: Path, *, progress: Progress | None = None
) -> ImageSet:
    """Render a split into `folder`; `progress(done, total)` after each image."""
    names = _scene_names(config, _known(split))
    listed = _listed(config, {name for one in SPLITS for name in _scene_names(config, one)})
    indices = chosen(names, limit=config.limit, listed=listed).tolist()
    objects, labels = [], []

    def images() -> Iterator[np.ndarray]:
        for index in indices:
            scene = fluent_scenes.render_scene(
                index, split=split, seed=config.seed, resolution=config.resolution
            )
            objects.append(scene.objects)
            labels.append(scene.label)
            yield scene.pixels

    hashes = _write_pixels(images(), len(indices), config.resolution, folder, progress)
    table = pd.DataFrame(
        {
            "id": [names[index] for index in indices],
            "sha256": hashes,
            "label": np.array(labels, np.int64).reshape(len(indices)),
            "label_name": [BACKGROUNDS[label] for label in labels],
            "complexity": np.array(objects, np.float64),
        }
    )
    return write_about(table, (), folder, selection=config.selection)


def _scene_names(config: FluentScenes, split: str) -> list[str]:
    return [f"{split}/{index:06d}" for index in range(getattr(config, split))]


def _listed(config: Selectable, known: Collection[str]) -> frozenset[str] | None:
    """The ids that the configuration's list has, all of which must be known; None without one."""
    if config.ids is None:
        return None
    _, ids = read_ids(config.ids)
    require_known(ids, known)
    return ids


def write_folder(
    config: ImageFolder,
    split: str,
    folder: Path,
    *,
    manifest: Manifest,
    progress: Progress | None = None,
) -> ImageSet:
    """Read a split of the folder with this manifest; `progress(done, total)` after each image.

    Raises UserError when the manifest is refused (`files_of_split`), or when a file is not the one
    that stands in it.
    """
    root = Path(config.path)
    files = _files(config, split, manifest).reset_index(drop=True)
    images = (
        _load_unchanged(root, path, sha256, config.resolution)
        for path, sha256 in zip(files["path"], files["file_sha256"], strict=True)
    )
    hashes = _write_pixels(images, len(files), config.resolution, folder, progress)
    classes = sorted(set(manifest.files["label_name"]))
    numbers = {name: number for number, name in enumerate(classes)}
    labels = files["label_name"].map(numbers).astype(np.int64)
    table = _table(files, hashes, labels)
    return write_about(table, manifest.unreadable, folder, selection=config.selection)


def write_survey(
    config: ImageFolder | WebDataset,
    split: str,
    folder: Path,
    *,
    manifest: Manifest,
    sources: Path,
    progress: Progress | None = None,
) -> ImageSet:
    """A split of images that stay in their files, or shards; `store: pixels` decodes them once.

    `sources` is where the images of each digest are found (`bench.data.sources.located`).

    Raises UserError when the manifest is refused (`files_of_split`), or, where pixels are stored,
    when an image is not the one that stands in it.
    """
    files = _files(config, split, manifest)
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "rows.bin"
    rows.write_bytes(files.index.to_numpy(np.dtype("<i8")).tobytes())
    files = files.reset_index(drop=True)
    table = _table(files, files["pixels_sha256"], files["label"])
    if config.store == "files":
        return write_about(
            table,
            manifest.unreadable,
            folder,
            selection=config.selection,
            source=manifest.fingerprint,
            resolution=config.resolution,
        )
    images = LocatedImages(sources / manifest.fingerprint, rows, resolution=config.resolution)
    decoded = map(images.read, range(len(images)))
    _write_pixels(decoded, len(images), config.resolution, folder, progress)
    rows.unlink()
    return write_about(table, manifest.unreadable, folder, selection=config.selection)


def _files(config: ImageFolder | WebDataset, split: str, manifest: Manifest) -> pd.DataFrame:
    """The rows of the manifest that a split takes, by their numbers there."""
    files = files_of_split(
        manifest,
        _known(split),
        root=config.path if isinstance(config, ImageFolder) else config.shards["train"][0],
        validation_fraction=config.validation_fraction,
        calibration_fraction=config.calibration_fraction,
        max_unreadable=config.max_unreadable,
        undivided=isinstance(config, ImageFolder) and config.undivided,
    )
    listed = _listed(config, set(manifest.files["path"]))
    return files.iloc[chosen(list(files["path"]), limit=config.limit, listed=listed)]


def _table(
    files: pd.DataFrame, hashes: Sequence[str] | pd.Series, labels: pd.Series
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": files["path"],
            "sha256": hashes,
            "label": labels,
            "label_name": files["label_name"],
            "complexity": np.nan,
        }
    ).join(files[["file_sha256", "file_size", "width", "height"]])


def _known(split: str) -> str:
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    return split


def _load_unchanged(root: Path, path: str, sha256: str, resolution: int) -> np.ndarray:
    """Pixels of a file that must still be what the manifest says."""
    try:
        with open_regular(root / path) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise _changed(root, path, "other content")
            file.seek(0)
            return load_image(file, resolution=resolution)
    except OSError as error:
        raise _changed(root, path, error.strerror or str(error)) from error


def _changed(root: Path, path: str, how: str) -> UserError:
    return UserError(
        f"image folder {root}: {path} has changed since the folder was listed ({how}); run again "
        "to take the folder as it is now"
    )


def _write_pixels(
    images: Iterable[np.ndarray],
    count: int,
    resolution: int,
    folder: Path,
    progress: Progress | None,
) -> list[str]:
    """Write images.npy, and give each image's sha256; one image at a time is in memory.

    Plain writes: pages of a memory map would count as this process's memory, and a full disk would
    kill it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hashes: list[str] = []
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, resolution, resolution)}
    with (folder / "images.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for image in images:
            data = image.tobytes()
            file.write(data)
            hashes.append(hashlib.sha256(data).hexdigest())
            if progress:
                progress(len(hashes), count)
    return hashes
