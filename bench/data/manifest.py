"""The manifest of an image folder: every image file checked once, and divided into splits.

- A file's class is its first-level folder, `.` for files directly in the root; where the folder has
  splits of its own (`bench.data.image_folder`), classes are the folders inside them.
- Otherwise a hash of the file's content decides its split, so that copies of one file lie on the
  same side. Calibration images are taken from the validation images either way.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from bench.data.decoding import Decoded, decode, reason_of
from bench.data.fingerprint import content_of, hash_of_tree
from bench.data.image_folder import AS_FOUND, SplitFolders, list_images
from bench.data.sources.survey import Survey
from bench.data.walk import cannot_open
from bench.errors import UserError
from bench.files import open_regular

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
    """The files of a folder, in the order of the relative POSIX paths.

    files: one row per readable image: `path` (relative), `own_split` (where the folder has splits,
        else empty), `label_name`, `file_sha256`, `file_size` (bytes), `width` and `height` (pixels,
        as displayed). Of a survey also `label` and `pixels_sha256`.
    unreadable: the others.
    fingerprint: of all of them, as `bench.data.fingerprint` has it.
    metadata_damaged: paths of images that were read without their metadata.
    foreign: paths of files that look like images, of formats that are not read.
    ignored: how many other things there are, by what they are.
    """

    files: pd.DataFrame
    unreadable: tuple[UnreadableFile, ...]
    fingerprint: str
    metadata_damaged: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    ignored: dict[str, int] = field(default_factory=dict)


def build_manifest(
    root: Path, folders: SplitFolders = AS_FOUND, *, progress: Progress | None = None
) -> Manifest:
    """Hash and decode every image under `root`; `progress(done, total)` after each.

    Raises UserError when `list_images` refuses the folder, or a file cannot be opened.
    """
    listing = list_images(root, folders)
    rows, contents, unreadable, damaged = [], [], [], []
    for path in listing.paths:
        try:
            with open_regular(root / path) as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
                contents.append(content_of(file, sha256))
                file.seek(0)
                found = decoded_or_reason(file)
        except OSError as error:
            raise cannot_open(root / path, error.strerror) from error
        if isinstance(found, str):
            unreadable.append(UnreadableFile(path=path, reason=found))
        else:
            split, label_name = listing.split_of(path), listing.class_of(path)
            rows.append((path, split, label_name, sha256, size, *found.image.size))
            if found.metadata_damaged:
                damaged.append(path)
        if progress:
            progress(len(contents), len(listing.paths))
    return Manifest(
        files=pd.DataFrame(rows, columns=list(COLUMNS)),
        unreadable=tuple(unreadable),
        fingerprint=hash_of_tree(contents, listing.paths, listing.mark),
        metadata_damaged=tuple(damaged),
        foreign=tuple(listing.foreign),
        ignored=listing.ignored,
    )


def manifest_of(survey: Survey) -> Manifest:
    """The manifest of a source whose images stay in their files; its fingerprint is the digest."""
    images = survey.readable
    names = {"name": "path", "split": "own_split", "sha256": "file_sha256", "size": "file_size"}
    files = images.rename(columns=names)[[*COLUMNS, "label", "pixels_sha256"]]
    unreadable = survey.images[survey.images["reason"] != ""]
    return Manifest(
        files=files,
        unreadable=tuple(map(UnreadableFile, unreadable["name"], unreadable["reason"])),
        fingerprint=survey.digest,
        metadata_damaged=tuple(images["name"][images["damaged"]]),
        foreign=survey.foreign,
        ignored=survey.ignored,
    )


def decoded_or_reason(file: BinaryIO) -> Decoded | str:
    """An image, or why it cannot be decoded."""
    try:
        return decode(file)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files.
        return reason_of(error)


def files_of_split(
    manifest: Manifest,
    split: str,
    *,
    root: Path | str,
    validation_fraction: float,
    calibration_fraction: float,
    max_unreadable: float,
    undivided: bool = False,
) -> pd.DataFrame:
    """The rows of the manifest that belong to `split`, in its order; all validate if `undivided`.

    Every split is looked at, so that the first one to be read refuses a folder that would fail
    another one hours later.

    Raises UserError when no image is readable, when the share of unreadable ones exceeds
    `max_unreadable`, or when a split has too few images.
    """
    _check_unreadable(manifest, root, max_unreadable)
    files = manifest.files
    splits = pd.Series(
        [
            "validation"
            if undivided
            else split_of(own, content, validation_fraction, calibration_fraction)
            for own, content in zip(files["own_split"], files["file_sha256"], strict=True)
        ]
    )
    counts = splits.value_counts()
    for name, fewest in FEWEST.items():
        wanted = name != "calibration" or calibration_fraction > 0 or split == name
        if undivided:
            wanted = name == split or name == "validation"
        if wanted and counts.get(name, 0) < fewest:
            raise UserError(
                f"image folder {root}: its {name} split has {counts.get(name, 0)} of the "
                f"{len(files)} images and needs at least {fewest}; add images, or change "
                "data.validation_fraction or data.calibration_fraction"
            )
    return files[splits == split]


def split_of(own: str, sha256: str, validation: float, calibration: float) -> str:
    """The split of an image by the hash of its file, and by the folder's own split, if any.

    `validation` and `calibration` are the shares that are set aside.
    """
    split = own or ("validation" if _share(sha256) < validation else "train")
    is_aside = split == "validation" and _share(sha256[16:]) < calibration
    return "calibration" if is_aside else split


def _share(hexadecimal: str) -> float:
    """The first 64 bits as a number in `[0, 1)`."""
    return int(hexadecimal[:16], 16) / 2**64


def _check_unreadable(manifest: Manifest, root: Path | str, max_unreadable: float) -> None:
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
        "metadata_damaged": manifest.metadata_damaged,
        "foreign": manifest.foreign,
        "ignored": manifest.ignored,
    }
    (folder / "manifest.json").write_text(json.dumps(about, indent=2) + "\n", "utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read what `write_manifest` wrote."""
    about = json.loads((folder / "manifest.json").read_text("utf-8"))
    return Manifest(
        files=pd.read_parquet(folder / "manifest.parquet"),
        unreadable=tuple(UnreadableFile(**file) for file in about["unreadable"]),
        fingerprint=about["fingerprint"],
        # Manifests of the first version have none of these.
        metadata_damaged=tuple(about.get("metadata_damaged", ())),
        foreign=tuple(about.get("foreign", ())),
        ignored=about.get("ignored", {}),
    )
