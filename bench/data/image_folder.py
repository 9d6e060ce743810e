"""Any tree of images: which files are images, and the one way an image file becomes pixels.

- An image is a file with a known extension in any case; other files are ignored. Linked folders
  are followed.
- With sub-folders `train` and `val` (or `validation`), those are the splits, and whatever lies
  beside them is not read.
- Pixels: EXIF orientation applied, transparency composited over white, converted to RGB, shorter
  side resized to the resolution (bicubic, antialiased; small images are enlarged), centre crop.
  Of an animation the first frame counts. 16-bit greyscale is scaled to 8 bits.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from bench.errors import UserError

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
VALIDATION_NAMES = ("val", "validation")
# With the shorter side at the resolution, a longer strip would not fit into memory.
MAX_ELONGATION = 100


def list_images(root: Path) -> tuple[dict[str, str], list[str]]:
    """The folder's own splits (sub-folder -> split) and the sorted relative POSIX paths of images.

    Raises UserError when the folder is missing, has no images, cannot be listed, or holds a name
    that is not UTF-8.
    """
    if not root.is_dir():
        raise UserError(f"image folder {root} does not exist or is not a folder; check data.path")
    split_of_folder = _split_folders(root)
    return split_of_folder, _sorted_images(root, [f"{name}/" for name in split_of_folder] or [""])


def all_images(root: Path) -> list[str]:
    """The sorted relative POSIX paths of all images below a folder, which has no splits.

    Raises UserError as `list_images` does.
    """
    if not root.is_dir():
        raise UserError(f"image folder {root} does not exist or is not a folder")
    return _sorted_images(root, [""])


def _sorted_images(root: Path, starts: list[str]) -> list[str]:
    paths = sorted(path for start in starts for path in _images_below(root, start, frozenset()))
    if not paths:
        raise UserError(
            f"image folder {root} has no images; known extensions: {' '.join(sorted(EXTENSIONS))}"
        )
    for path in paths:
        if not _is_utf8(path):
            raise UserError(f"image folder {root}: the name {path!a} is not UTF-8; rename the file")
    return paths


def require_readable(root: Path | str) -> None:
    """Refuse a folder that `list_images` refuses, or with a file that may not be opened.

    Raises UserError; reads no file.
    """
    root = Path(root)
    for path in list_images(root)[1]:
        if not (root / path).is_file() or not os.access(root / path, os.R_OK):
            raise cannot_open(root / path, "not a file that may be read")


def cannot_open(path: Path, reason: str | None) -> UserError:
    """The one line for an image file that is there, but not to be had."""
    return UserError(f"cannot open {path}: {reason}; check its permissions or remove it")


def load_image(file: Path | BinaryIO, *, resolution: int) -> np.ndarray:
    """An image file as uint8 `[3, R, R]`: shorter side resized to `R`, then the centre.

    Raises whatever `decode` does.
    """
    image = decode(file)
    scale = resolution / min(image.size)
    width, height = (max(resolution, int(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - resolution) // 2, (height - resolution) // 2
    image = image.crop((left, top, left + resolution, top + resolution))
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def decode(file: Path | BinaryIO) -> Image.Image:
    """Upright RGB image of an encoded file.

    Raises nearly anything on damaged files, as Pillow's decoders do, and on images that are too
    large (Pillow's limit, about 89 megapixels) or more than 100 times as long as wide.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = Image.open(file)
    with image:
        if max(image.size) > MAX_ELONGATION * min(image.size):
            raise ValueError(f"{image.width} x {image.height} pixels: too long a strip")
        image.load()
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray(np.rint(np.asarray(image, np.float32) / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels have no defined white; convert the file to 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _split_folders(root: Path) -> dict[str, str]:
    """Name of each split's sub-folder -> split; empty when the folder has no splits of its own."""
    validation = [name for name in VALIDATION_NAMES if (root / name).is_dir()]
    if not (root / "train").is_dir() or not validation:
        return {}
    if len(validation) > 1:
        raise UserError(f"image folder {root} has both val and validation; keep one of them")
    return {"train": "train", validation[0]: "validation"}


def _images_below(root: Path, inner: str, above: frozenset[Path]) -> Iterator[str]:
    """Images in the folder `inner` ("" or ending in a slash); `above` lie on the way to it."""
    folder = root / inner
    real = folder.resolve()
    if real in above:
        return  # A link to a folder above would be walked for ever.
    above |= {real, *real.parents}
    try:
        with os.scandir(folder) as entries:
            names = [(entry.name, _is_folder(entry)) for entry in entries]
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror}; check its permissions") from error
    for name, is_folder in names:
        if is_folder:
            yield from _images_below(root, f"{inner}{name}/", above)
        elif Path(name).suffix.lower() in EXTENSIONS:
            yield f"{inner}{name}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link that leads to itself.
        return False


def _is_utf8(path: str) -> bool:
    """Names of other encodings reach Python with surrogates, which no table can hold."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
