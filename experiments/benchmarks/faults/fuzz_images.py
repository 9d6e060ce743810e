"""Damaged image files: each must be read or refused in one line, in little time and memory.

Makes files of every format, changes their bytes at random (flips, cuts, runs of one byte, large
numbers, parts of other files), and decodes them as the harness does, in processes that are watched.
Run from the repository's root: `python -m experiments.benchmarks.faults.fuzz_images`. The
seed decides every file; `--only 417` decodes one of them here, and shows a traceback.
"""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image, ImageCms

from bench.data.decoding import square
from bench.data.manifest import decoded_or_reason
from experiments.benchmarks.faults.fuzzing import main, mutated, options


@functools.cache
def originals() -> list[bytes]:
    """Files in order: formats, modes and options, with metadata and without."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 4), np.uint8)
    rgba = Image.fromarray(pixels)
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    told = {"exif": exif, "icc_profile": profile}
    frames = {"save_all": True, "append_images": [rgb.rotate(90)]}
    made = [
        *((image, "PNG", {}) for image in (rgb, rgba, grey, deep, grey.convert("1"))),
        (rgb, "PNG", {**told, "transparency": (1, 2, 3)}),
        (rgb.quantize(16), "PNG", {"bits": 4, "transparency": 3}),
        (rgb, "JPEG", {**told, "progressive": True, "quality": 95}),
        (rgba.convert("CMYK"), "JPEG", told),
        (rgba, "WEBP", told),
        (rgb, "WEBP", {"lossless": True}),
        *((rgb, "TIFF", {**told, "compression": kind}) for kind in (None, "tiff_lzw", "jpeg")),
        (deep, "TIFF", {"compression": "tiff_deflate"}),
        (grey.convert("1"), "TIFF", {"compression": "group4"}),
        *((rgb, kind, frames) for kind in ("WEBP", "GIF", "AVIF")),
        (rgb.quantize(8), "GIF", {"transparency": 2}),
        (rgba, "AVIF", told),
        *((rgb, kind, {}) for kind in ("JPEG", "BMP", "PPM", "JPEG2000")),
    ]
    return [_saved(image, kind, options) for image, kind, options in made]


def _saved(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def read(data: bytes) -> str:
    """Whether a file is read, or why it is refused."""
    found = decoded_or_reason(io.BytesIO(data))
    if isinstance(found, str):
        return found
    square(found.image, resolution=32)
    return "read without metadata" if found.metadata_damaged else "read"


def fate(number: int, seed: int) -> str:
    """What becomes of file `number` of a seed."""
    return read(mutated(originals(), number, seed))


if __name__ == "__main__":
    main("experiments.benchmarks.faults.fuzz_images", options(__doc__ or "").parse_args(), fate)
