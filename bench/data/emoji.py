"""The embedded Fluent 3-D emoji: pictures, names, and the split by base code point.

The archive holds 64 px WebP files named by code points (`1f44d-1f3fb.webp`). All variants of a base
code point, i.e. of the first one (skin tones, genders, sequences), lie in the same split.
"""

import functools
import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.errors import UserError

EMOJI_SIZE = 64
SPLITS = ("train", "validation")
VALIDATION_SHARE = 0.2

ASSETS = Path(__file__).parent / "assets"
ARCHIVE = ASSETS / "fluent_emoji_64.zip"
NOTICE = ASSETS / "NOTICE"
SHA256_FILE = ARCHIVE.with_suffix(".sha256")


@dataclass(frozen=True, eq=False)
class EmojiSet:
    """All emoji, sorted by file name.

    pixels: uint8 `[E, 64, 64, 4]`, RGBA with colours premultiplied by alpha, read-only.
    names: code points in hexadecimal joined by "-", `E` of them.
    """

    pixels: np.ndarray
    names: tuple[str, ...]


def base_code_point(name: str) -> int:
    """The first code point of an emoji's name: `1f44d-1f3fb` -> 0x1f44d."""
    return int(name.split("-")[0], 16)


def split_of_base(base: int) -> str:
    """`train` (80 %) or `validation` (20 %): a pure function of the base code point."""
    digest = hashlib.sha256(f"{base:x}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return "validation" if share < VALIDATION_SHARE else "train"


def read_archive(archive: Path, sha256_file: Path) -> EmojiSet:
    """Decode an emoji archive; UserError if it is missing or not the one the checksum names."""
    try:
        data = archive.read_bytes()
        expected = sha256_file.read_text().split()[0]
    except (OSError, IndexError) as error:
        raise UserError(
            f"cannot read the embedded emoji {archive}; reinstall the package"
        ) from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise UserError(
            f"the embedded emoji {archive} are damaged (sha256 differs from {sha256_file.name}); "
            "reinstall the package or run python -m bench.data.build_fluent_emoji"
        )
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        members = sorted(files.namelist())
        pixels = np.empty((len(members), EMOJI_SIZE, EMOJI_SIZE, 4), np.uint8)
        for row, member in zip(pixels, members, strict=True):
            with Image.open(io.BytesIO(files.read(member))) as image:
                row[:] = np.asarray(image.convert("RGBA").convert("RGBa"))
    pixels.setflags(write=False)
    return EmojiSet(pixels=pixels, names=tuple(Path(member).stem for member in members))


@functools.cache
def load_emoji() -> EmojiSet:
    """The embedded emoji, decoded once per process (about a second, 56 MB)."""
    return read_archive(ARCHIVE, SHA256_FILE)


def group_by_base(names: Iterable[str], split: str) -> tuple[tuple[int, ...], ...]:
    """Indices into `names` of a split, one tuple per base code point, in ascending order of it."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    groups: dict[int, list[int]] = {}
    for index, name in enumerate(names):
        base = base_code_point(name)
        if split_of_base(base) == split:
            groups.setdefault(base, []).append(index)
    return tuple(tuple(groups[base]) for base in sorted(groups))


@functools.cache
def emoji_groups(split: str) -> tuple[tuple[int, ...], ...]:
    """The embedded emoji of a split: one tuple of indices per base code point."""
    return group_by_base(load_emoji().names, split)
