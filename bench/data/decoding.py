"""The one way an image file becomes pixels.

- Content decides the format, among those of `bench.data.formats`. Of an animation or a file of
  many pages the first one counts.
- The orientation that EXIF or XMP gives is applied. Damaged metadata cost no pixels: the image is
  then read without them. Colour profiles are not applied.
- Transparency is composited over white. 16-bit pixels are scaled to 8 bits.
- Pixels whose meaning is not certain are refused by name: `RefusedImage`.
- The shorter side is resized to the resolution (bicubic, antialiased; small images are enlarged),
  and the centre is cut out.
"""

import ctypes
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError, _imaging

from bench.data.formats import FORMATS, HEADER_BYTES, format_of
from bench.data.metadata import without_metadata
from bench.files import open_regular

# With the shorter side at the resolution, a longer strip would not fit into memory.
MAX_ELONGATION = 100
MOST_BYTES_REPAIRED = 2**28
ROWS = 256

# Depth and colour type of the PNGs whose transparent colour was not understood.
_SEE_THROUGH = (b"\x02\0", b"\x04\0", b"\x10\0", b"\x10\x02")
_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 258, 259, 262
_STRIP_BYTES, _PLANAR, _SAMPLE_FORMAT, _DNG = 279, 284, 339, 50706


class RefusedImage(ValueError):
    """An image that is whole, but whose pixels are not read: says which and why."""


@dataclass(frozen=True)
class Decoded:
    """An upright RGB image, and whether it had to be read without its metadata."""

    image: Image.Image
    metadata_damaged: bool


@dataclass(frozen=True)
class _Samples:
    """How the numbers of a file are meant, where Pillow's mode does not say it.

    largest: the value of white in more than 8 bits.
    inverted: 0 is white instead.
    transparent_scale: from a file's own grey level to Pillow's 8 bits.
    """

    largest: int = 65535
    inverted: bool = False
    transparent_scale: int = 1


def _silence_libtiff() -> None:
    """Take away the handler by which libtiff writes of each damaged file to stderr, past Python."""
    try:
        silence = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (AttributeError, OSError):  # It is built in another way; its lines do no harm.
        return
    silence.argtypes, silence.restype = [ctypes.c_void_p], ctypes.c_void_p
    silence(None)


_silence_libtiff()
_REFUSALS = (RefusedImage, Image.DecompressionBombWarning, Image.DecompressionBombError)


def load_image(file: Path | BinaryIO, *, resolution: int) -> np.ndarray:
    """An image file as uint8 `[3, R, R]`. Raises whatever `decode` does."""
    return square(decode(file).image, resolution=resolution)


def square(image: Image.Image, *, resolution: int) -> np.ndarray:
    """The centre of an RGB image as uint8 `[3, R, R]`, its shorter side resized to `R`."""
    scale = resolution / min(image.size)
    width, height = (max(resolution, int(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - resolution) // 2, (height - resolution) // 2
    image = image.crop((left, top, left + resolution, top + resolution))
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def decode(file: Path | BinaryIO) -> Decoded:
    """Upright RGB image of an encoded file.

    Raises nearly anything on damaged files, as Pillow's decoders do, and RefusedImage; images that
    are too large (Pillow's limit, about 89 megapixels) or more than 100 times as long as wide are
    refused too. `reason_of` puts all of them in words.
    """
    if isinstance(file, Path):
        with open_regular(file) as opened:
            return decode(opened)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image, samples, damaged = _loaded(file)
        try:
            turn = _TURNED.get(image.getexif().get(ExifTags.Base.Orientation, 1))
        except MemoryError:
            raise
        except Exception:  # Pillow's parsers raise nearly anything on damaged metadata.
            turn, damaged = None, True
        damaged = damaged or any(issubclass(one.category, UserWarning) for one in caught)
    if turn is not None:
        image = image.transpose(turn)
    return Decoded(_to_rgb(image, samples), damaged)


def reason_of(error: Exception) -> str:
    """Why a file could not be decoded, in one line that is the same each time."""
    if isinstance(error, RefusedImage):
        return str(error)
    if isinstance(error, UnidentifiedImageError):  # Its own words hold an address in memory.
        return "cannot identify the image: damaged, or of a kind that is not read"
    return " ".join(f"{type(error).__name__}: {error}".split())


def read_otherwise(file: BinaryIO) -> bool:
    """Whether the first version of this module made other pixels of this file than today's.

    Stages are named after files, so these go by another name. Reads a part of the file at most.
    """
    header = file.read(HEADER_BYTES)
    kind = format_of(header)
    depth_and_colour = header[24:26]
    if kind != "TIFF" and not (kind == "PNG" and depth_and_colour in _SEE_THROUGH):
        return False
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(file, formats=(kind,))
            if kind == "PNG":
                # Black is 0 in all depths, and was understood in less than 16 bits.
                colour = image.info.get("transparency")
                return colour is not None and (colour != 0 or depth_and_colour[0] == 16)
            return image.mode == "La" or _samples(image) != _Samples()
    except RefusedImage:
        return True
    except Exception:  # As `decode` will find out.
        return False


def _loaded(file: BinaryIO) -> tuple[Image.Image, _Samples, bool]:
    """An image in memory, how its samples are meant, and whether its metadata had to go."""
    try:
        return *_open(file), False
    except (MemoryError, *_REFUSALS):
        raise
    except Exception as error:
        file.seek(0)
        plain = without_metadata(file.read(MOST_BYTES_REPAIRED))
        if plain is None:
            raise
        try:
            return *_open(io.BytesIO(plain)), True
        except (MemoryError, *_REFUSALS):
            raise
        except Exception:
            raise error from None


def _open(file: BinaryIO) -> tuple[Image.Image, _Samples]:
    image = Image.open(file, formats=FORMATS)
    if max(image.size) > MAX_ELONGATION * min(image.size):
        raise RefusedImage(f"{image.width} x {image.height} pixels: too long a strip")
    samples = _samples(image)
    image.load()
    return image, samples


def _samples(image: Image.Image) -> _Samples:
    """How the samples of an image that is not loaded yet are meant.

    Raises RefusedImage where that is not certain, or Pillow would take them for something else.
    """
    layout = image.tile[0].args if isinstance(image, ImageFile.ImageFile) and image.tile else ""
    if image.mode == "LAB":
        raise RefusedImage("Lab colours, whose white point is not said; convert the file to RGB")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _tiff_samples(image)
    if image.mode == "CMYK" and "adobe" not in image.info:
        raise RefusedImage("CMYK without Adobe's marker: whether 0 means ink is not said")
    if layout == "RGB;16B" and "transparency" in image.info:
        raise RefusedImage("16-bit RGB with a transparent colour; save it with an alpha channel")
    return _Samples(transparent_scale={"L;2": 85, "L;4": 17}.get(str(layout), 1))


def _tiff_samples(image: TiffImagePlugin.TiffImageFile) -> _Samples:
    tags = image.tag_v2
    bits = tags.get(_BITS, (1,))
    if _DNG in tags:
        raise RefusedImage("raw pixels of a camera (DNG); develop it first")
    if tags.get(_SUBFILE, 0) & 1:
        raise RefusedImage("its first page is a small copy of another one")
    if 2 in tags.get(_SAMPLE_FORMAT, (1,)):
        raise RefusedImage("signed pixels have no defined white; convert the file to unsigned ones")
    if tags.get(_PLANAR, 1) == 2 and max(bits) > 8:
        raise RefusedImage("16-bit pixels in separate planes; convert the file to interleaved ones")
    if bits == (12,):
        packed = (image.width * 12 + 7) // 8 * image.height
        if tags.get(_COMPRESSION, 1) == 1 and sum(tags.get(_STRIP_BYTES, (packed,))) != packed:
            raise RefusedImage("12-bit pixels that are not packed; convert the file to 16 bits")
        return _Samples(largest=4095)
    return _Samples(inverted=image.mode.startswith("I;16") and tags.get(_PHOTOMETRIC) == 0)


def _to_rgb(image: Image.Image, samples: _Samples) -> Image.Image:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return _from_16_bits(image, samples).convert("RGB")
    if image.mode in ("I", "F"):
        raise RefusedImage("32-bit pixels have no defined white; convert the file to 8 or 16 bits")
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode == "L" and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= samples.transparent_scale
    if image.has_transparency_data:
        return _over_white(image)
    return image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    """Transparency composited over white, some rows at a time: it takes four copies of them."""
    made = Image.new("RGB", image.size)
    for top in range(0, image.height, ROWS):
        box = (0, top, image.width, min(top + ROWS, image.height))
        part = image.crop(box).convert("RGBA")
        white = Image.new("RGBA", part.size, "white")
        made.paste(Image.alpha_composite(white, part).convert("RGB"), box)
    return made


def _from_16_bits(image: Image.Image, samples: _Samples) -> Image.Image:
    """Greyscale in 8 bits, by a table: at 89 megapixels, arithmetic would take gigabytes."""
    levels = np.arange(65536, dtype=np.float32).clip(max=samples.largest)
    table = np.rint(levels / np.float32(samples.largest / 255)).astype(np.uint8)
    values = np.asarray(image)
    grey = (255 - table if samples.inverted else table)[values]
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)
