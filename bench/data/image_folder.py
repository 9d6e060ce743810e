"""Any tree of images: manifest, splits, and the one way an image file becomes pixels.

- An image is a file with a known extension in any case; other files are ignored. Linked folders are
  followed.
- Its class is its first-level folder, `.` for files directly in the root.
- With sub-folders `train` and `val` (or `validation`), those are the splits, classes are the
  folders inside them, and whatever lies beside them is not read. Otherwise a hash of the file's
  content decides, so that copies of one file lie on the same side.
- Pixels: EXIF orientation applied, transparency composited over white, converted to RGB, shorter
  side resized to the resolution (bicubic, antialiased; small images are enlarged), centre crop.
  Of an animation the first frame counts. 16-bit greyscale is scaled to 8 bits.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from bench.errors import UserError

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
VALIDATION_NAMES = ("val", "validation")


@dataclass(frozen=True)
class UnreadableFile:
    """A file that could not be decoded: its path relative to the folder, and why."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Manifest:
    """What a folder holds, in the order of the relative POSIX paths.

    files: one row per readable image: `path` (relative), `split`, `label_name`, `file_sha256`,
        `file_size` (bytes), `width` and `height` (pixels, as displayed).
    unreadable: the others.
    """

    files: pd.DataFrame
    unreadable: tuple[UnreadableFile, ...]


def build_manifest(
    root: Path,
    *,
    validation_fraction: float,
    max_unreadable: float,
    calibration_fraction: float = 0.0,
) -> Manifest:
    """Hash and decode every image under `root`; calibration images are taken from validation.

    Raises UserError when the folder is missing or has no images, when no image is readable, or when
    the share of unreadable ones exceeds `max_unreadable`.
    """
    split_of_folder, paths = _list_images(root)
    rows, unreadable = [], []
    for path in paths:
        try:
            data = (root / path).read_bytes()
            width, height = _decode(data).size
        except MemoryError:
            raise
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged files.
            unreadable.append(UnreadableFile(path=path, reason=_reason(error)))
            continue
        content = hashlib.sha256(data).hexdigest()
        first, *inner = PurePosixPath(path).parts
        split = split_of_folder.get(first) or _split_by_content(content, validation_fraction)
        if split == "validation" and _share(content[16:]) < calibration_fraction:
            split = "calibration"
        folders = inner if split_of_folder else (first, *inner)
        label_name = folders[0] if len(folders) > 1 else "."
        rows.append((path, split, label_name, content, len(data), width, height))
    _check_unreadable(root, unreadable, len(paths), max_unreadable)
    columns = ["path", "split", "label_name", "file_sha256", "file_size", "width", "height"]
    return Manifest(files=pd.DataFrame(rows, columns=columns), unreadable=tuple(unreadable))


def fingerprint(root: Path | str) -> str:
    """sha256 over the relative paths and the bytes of every image file, decodable or not.

    The same tree at another place has the same fingerprint. Raises UserError when the folder is
    missing, has no images, or holds a file that cannot be opened.
    """
    root = Path(root)
    tree = hashlib.sha256()
    for path in _list_images(root)[1]:
        try:
            content = hashlib.sha256((root / path).read_bytes()).hexdigest()
        except OSError as error:
            raise UserError(
                f"cannot open {root / path}: {error.strerror}; check its permissions or remove it"
            ) from error
        tree.update(f"{content} {path}\n".encode())
    return tree.hexdigest()


def load_image(path: Path, *, resolution: int) -> np.ndarray:
    """An image file as uint8 `[3, R, R]`: shorter side resized to `R`, then the centre."""
    image = _decode(path.read_bytes())
    scale = resolution / min(image.size)
    width, height = (max(resolution, int(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - resolution) // 2, (height - resolution) // 2
    image = image.crop((left, top, left + resolution, top + resolution))
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def _decode(data: bytes) -> Image.Image:
    """Upright RGB image of an encoded file."""
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I;16"):
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels have no defined white; convert the file to 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _list_images(root: Path) -> tuple[dict[str, str], list[str]]:
    """The folder's own splits (`_split_folders`) and the sorted relative paths of its images."""
    if not root.is_dir():
        raise UserError(f"image folder {root} does not exist or is not a folder; check data.path")
    split_of_folder = _split_folders(root)
    paths = sorted(_image_paths(root, list(split_of_folder)))
    if not paths:
        raise UserError(
            f"image folder {root} has no images; known extensions: {' '.join(sorted(EXTENSIONS))}"
        )
    return split_of_folder, paths


def _split_folders(root: Path) -> dict[str, str]:
    """Name of each split's sub-folder -> split; empty when the folder has no splits of its own."""
    validation = [name for name in VALIDATION_NAMES if (root / name).is_dir()]
    if not (root / "train").is_dir() or not validation:
        return {}
    if len(validation) > 1:
        raise UserError(f"image folder {root} has both val and validation; keep one of them")
    return {"train": "train", validation[0]: "validation"}


def _image_paths(root: Path, folders: list[str]) -> Iterator[str]:
    """Relative POSIX paths of the images in the named sub-folders, or in all of `root` if none."""
    for start in [root / name for name in folders] or [root]:
        for folder, children, names in os.walk(start, followlinks=True, onerror=_raise):
            here = Path(folder)
            # A link to a folder above would be walked for ever.
            above = {here.resolve(), *here.resolve().parents}
            children[:] = [child for child in children if (here / child).resolve() not in above]
            for name in names:
                if Path(name).suffix.lower() in EXTENSIONS:
                    yield (here / name).relative_to(root).as_posix()


def _raise(error: OSError) -> None:
    raise UserError(f"cannot list {error.filename}: {error.strerror}; check its permissions")


def _split_by_content(sha256: str, validation_fraction: float) -> str:
    return "validation" if _share(sha256) < validation_fraction else "train"


def _share(hexadecimal: str) -> float:
    """The first 64 bits as a number in `[0, 1)`."""
    return int(hexadecimal[:16], 16) / 2**64


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")


def _check_unreadable(
    root: Path, unreadable: list[UnreadableFile], total: int, max_unreadable: float
) -> None:
    if len(unreadable) < total and len(unreadable) <= max_unreadable * total:
        return
    first = "; ".join(f"{file.path} ({file.reason})" for file in unreadable[:3])
    raise UserError(
        f"image folder {root}: {len(unreadable)} of {total} images are unreadable, more than "
        f"data.max_unreadable = {max_unreadable:g} allows: {first}; repair or remove them"
    )
