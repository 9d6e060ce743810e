"""Reading tar shards in the layout of webdataset: `KEY.jpg` and `KEY.cls` beside each other.

A key is a member's path up to the first dot of its name, what follows is its kind. A `.cls` is a
class as text, a number or a name; nothing is unpickled, and other kinds are passed over.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bench.data.formats import SUFFIXES
from bench.data.image_folder import is_utf8
from bench.errors import UserError

CLASS = "cls"
MOST_CLASS_BYTES = 256
_BLOCK = 512
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"(\xb5": "zstd"}


@dataclass
class Sample:
    """An image of a shard: the member `name`, where its bytes are, and the class beside it."""

    key: str
    name: str = ""
    offset: int = 0
    size: int = 0
    label: str | None = None


def key_of(name: str) -> tuple[str, str]:
    """Key and kind of a member: of `a/b.jpg` `a/b` and `jpg`, of `a/b.seg.png` `a/b`, `seg.png`."""
    folder, slash, file = name.rpartition("/")
    stem, _, kind = file.partition(".")
    return f"{folder}{slash}{stem}", kind.lower()


def read_shard(path: Path, file: BinaryIO) -> Iterator[tuple[Sample, bytes]]:
    """Every image of a shard with its bytes, read once from front to end.

    A class that lies behind its image is known once the shard has been read.

    Raises:
        UserError: the shard is compressed, truncated or damaged, a key comes twice, an image lacks
            its class where others have theirs, or a class has no image or is no short text.
    """
    samples: dict[str, Sample] = {}
    for name, offset, size in _members(path, file):
        key, kind = key_of(name)
        if kind != CLASS and f".{kind}" not in SUFFIXES:
            continue
        sample = samples.setdefault(key, Sample(key))
        file.seek(offset)
        if kind == CLASS:
            if sample.label is not None:
                raise UserError(f"shard {path}: the key {key!r} has two .cls; keep one")
            sample.label = _class_of(path, name, file.read(min(size, MOST_CLASS_BYTES + 1)))
            continue
        if sample.name:
            raise UserError(
                f"shard {path}: the key {key!r} has two images, {sample.name} and {name}; keep one"
            )
        sample.name, sample.offset, sample.size = name, offset, size
        yield sample, _whole(path, name, file, size)
    _require_classes(path, list(samples.values()))


def _members(path: Path, file: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of every regular member; hidden ones are passed over."""
    packed = _COMPRESSED.get(file.read(2))
    if packed:
        raise UserError(
            f"shard {path}: is compressed ({packed}), so no image can be read alone; unpack it"
        )
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (member := archive.next()) is not None:
                name = member.name.removeprefix("./")
                if member.issparse():
                    raise UserError(f"shard {path}: {name} is sparse; write the shard anew")
                if not is_utf8(name):
                    raise UserError(f"shard {path}: the name {name!a} is not UTF-8; rename it")
                if member.isreg() and not name.rpartition("/")[2].startswith("."):
                    yield name, member.offset_data, member.size
            end = archive.offset
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise UserError(f"shard {path}: truncated or damaged ({error}); write it anew") from None
    # tarfile takes a broken header for the end.
    file.seek(end)
    block = file.read(_BLOCK)
    if len(block) < _BLOCK:
        raise UserError(f"shard {path}: truncated at byte {end}; write it anew")
    if any(block):
        raise UserError(f"shard {path}: damaged at byte {end}: no tar header; write it anew")
    while block := file.read(_BLOCK * 128):
        if any(block):
            raise UserError(
                f"shard {path}: has more behind its end at byte {end}, as one shard appended to "
                "another; write it anew"
            )


def _whole(path: Path, name: str, file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise UserError(
            f"shard {path}: truncated in {name}: {len(data)} of {size} bytes; write it anew"
        )
    return data


def _class_of(path: Path, name: str, data: bytes) -> str:
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(data) > MOST_CLASS_BYTES or not text.isprintable():
        raise UserError(f"shard {path}: {name} is no class: give a number or a name as text")
    return text


def _require_classes(path: Path, samples: list[Sample]) -> None:
    for sample in samples:
        if not sample.name:
            raise UserError(f"shard {path}: the key {sample.key!r} has a .cls, but no image")
    without = [sample.name for sample in samples if sample.label is None]
    if without and len(without) < len(samples):
        raise UserError(
            f"shard {path}: {len(without)} of {len(samples)} images have no .cls, such as "
            f"{without[0]}; give every image its class, or none"
        )
