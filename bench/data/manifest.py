"""The manifest of an image folder: every image file checked once, and divided into splits.

- A file's class is its first-level folder, `.` for files directly in the root; where the folder has
  splits of its own, classes are the folders inside them.
- Otherwise a hash of the file's content decides its split, so that copies of one file lie on the
  same side. Calibration images are taken from the validation images either way.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from bench.data.fingerprint import hash_of_tree
from bench.data.image_folder import cannot_open, decode, list_images
from bench.errors import UserError
from bench.files import sha256_of

Progress = Callable[[int, int], None]
COLUMNS = ("path", "own_split", "label_name", "file_sha256", "file_size", "width", "height")
# Judging an allocation takes a covariance.
FEWEST = {"train": 1, "validation": 2, "calibration": 1}


@dataclass(frozen=True)
class UnreadableFile:
    """A file that could not be decoded: its path relative to the folder, and why."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Manifest:
    """What a folder holds, in the order of the relative POSIX paths.

    files: one row per readable image: `path` (relative), `own_split` (where the folder has splits,
        else empty), `label_name`, `file_sha256`, `file_size` (bytes), `width` and `height` (pixels,
        as displayed).
    unreadable: the others.
    fingerprint: of all of them, as `bench.data.fingerprint` has it.
    """

    files: pd.DataFrame
    unreadable: tuple[UnreadableFile, ...]
    fingerprint: str


def build_manifest(root: Path, *, progress: Progress | None = None) -> Manifest:
    """Hash and decode every image under `root`; `progress(done, total)` after each.

    Raises UserError when the folder is missing, has no images, or a file cannot be opened.
    """
    split_of_folder, paths = list_images(root)
    rows, hashes, unreadable = [], [], []
    for path in paths:
        try:
            with (root / path).open("rb") as file:
                content = sha256_of(file)
                size = file.tell()
                file.seek(0)
                dimensions = _dimensions(file)
        except OSError as error:
            raise cannot_open(root / path, error.strerror) from error
        hashes.append(content)
        if isinstance(dimensions, str):
            unreadable.append(UnreadableFile(path=path, reason=dimensions))
        else:
            first, *inner = PurePosixPath(path).parts
            folders = inner if split_of_folder else (first, *inner)
            label_name = folders[0] if len(folders) > 1 else "."
            own_split = split_of_folder.get(first, "")
            rows.append((path, own_split, label_name, content, size, *dimensions))
        if progress:
            progress(len(hashes), len(paths))
    return Manifest(
        files=pd.DataFrame(rows, columns=list(COLUMNS)),
        unreadable=tuple(unreadable),
        fingerprint=hash_of_tree(hashes, paths),
    )


def _dimensions(file) -> tuple[int, int] | str:
    """Width and height of an image, or why it cannot be decoded."""
    try:
        return decode(file).size
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files.
        return f"{type(error).__name__}: {error}".replace("\n", " ")


def files_of_split(
    manifest: Manifest,
    split: str,
    *,
    root: Path,
    validation_fraction: float,
    calibration_fraction: float,
    max_unreadable: float,
) -> pd.DataFrame:
    """The rows of the manifest that belong to `split`, renumbered.

    Every split is looked at, so that the first one to be read refuses a folder that would fail
    another one hours later.

    Raises UserError when no image is readable, when the share of unreadable ones exceeds
    `max_unreadable`, or when a split has too few images.
    """
    _check_unreadable(manifest, root, max_unreadable)
    files = manifest.files
    splits = pd.Series(
        [
            _split(own, content, validation_fraction, calibration_fraction)
            for own, content in zip(files["own_split"], files["file_sha256"], strict=True)
        ]
    )
    counts = splits.value_counts()
    for name, fewest in FEWEST.items():
        wanted = name != "calibration" or calibration_fraction > 0 or split == name
        if wanted and counts.get(name, 0) < fewest:
            raise UserError(
                f"image folder {root}: its {name} split has {counts.get(name, 0)} of the "
                f"{len(files)} images and needs at least {fewest}; add images, or change "
                "data.validation_fraction or data.calibration_fraction"
            )
    return files[splits == split].reset_index(drop=True)


def _split(own: str, sha256: str, validation: float, calibration: float) -> str:
    split = own or ("validation" if _share(sha256) < validation else "train")
    is_aside = split == "validation" and _share(sha256[16:]) < calibration
    return "calibration" if is_aside else split


def _share(hexadecimal: str) -> float:
    """The first 64 bits as a number in `[0, 1)`."""
    return int(hexadecimal[:16], 16) / 2**64


def _check_unreadable(manifest: Manifest, root: Path, max_unreadable: float) -> None:
    unreadable = manifest.unreadable
    total = len(manifest.files) + len(unreadable)
    if len(unreadable) < total and len(unreadable) <= max_unreadable * total:
        return
    first = "; ".join(f"{file.path} ({file.reason})" for file in unreadable[:3])
    raise UserError(
        f"image folder {root}: {len(unreadable)} of {total} images are unreadable, more than "
        f"data.max_unreadable = {max_unreadable:g} allows: {first}; repair or remove them"
    )


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write manifest.parquet and manifest.json; the caller makes the folder atomic."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest.files.to_parquet(folder / "manifest.parquet", index=False)
    about = {
        "fingerprint": manifest.fingerprint,
        "unreadable": [asdict(file) for file in manifest.unreadable],
    }
    (folder / "manifest.json").write_text(json.dumps(about, indent=2) + "\n", "utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read what `write_manifest` wrote."""
    about = json.loads((folder / "manifest.json").read_text("utf-8"))
    return Manifest(
        files=pd.read_parquet(folder / "manifest.parquet"),
        unreadable=tuple(UnreadableFile(**file) for file in about["unreadable"]),
        fingerprint=about["fingerprint"],
    )
