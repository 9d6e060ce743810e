"""Writing an image folder as tar shards in the layout of webdataset, which resumes.

Which image goes where follows from the folder alone: images are in the order of hashes of their
paths, so that readers who go from front to end meet classes mixed, and a shard is closed before it
would grow beyond its size. Bytes of files stay as they are.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.data.formats import HEADER_BYTES, SUFFIXES, format_of
from bench.data.image_folder import Listing
from bench.data.sources.tar import CLASS, key_of
from bench.data.walk import cannot_open
from bench.errors import UserError
from bench.files import open_regular, sync, write_text, written_aside

CLASSES = "classes.txt"
SUFFIX_OF = {"JPEG": "jpg", "JPEG2000": "jp2", "TIFF": "tif"}
_BLOCK = 512

Progress = Callable[[int], None]


@dataclass(frozen=True)
class _Member:
    """A file, its name in the shard, its bytes and its class, None where there are no classes."""

    path: Path
    name: str
    size: int
    label: int | None

    def parts(self) -> Iterator[tuple[str, int]]:
        """Name and size of what it is in a shard."""
        yield self.name, self.size
        if self.label is not None:
            yield f"{key_of(self.name)[0]}.{CLASS}", len(str(self.label))


@dataclass(frozen=True)
class Written:
    """What was written: patterns of shards by split, the file of classes, counts of images.

    `renamed` images had dots in their names, which would end a key.
    """

    patterns: dict[str, str]
    classes: Path | None
    images: int
    shards: int
    renamed: int


def write_shards(listing: Listing, out: Path, *, size: int, progress: Progress) -> Written:
    """Write the images of a folder into `out`; `progress(images)` after each shard.

    Shards that are there already are not written again. `size` is in bytes.

    Raises:
        UserError: two images would have one key, a file cannot be read or changes meanwhile, or the
            place holds other shards.
    """
    names = {path: _name_of(listing.root, path) for path in listing.paths}
    _require_apart(names)
    classes = sorted({listing.class_of(path) for path in listing.paths})
    numbers = {name: number for number, name in enumerate(classes)} if classes != ["."] else {}
    out.mkdir(parents=True, exist_ok=True)
    if numbers:
        if any(not name.isprintable() for name in classes):
            raise UserError(f"{listing.root}: a class has a name that does not print; rename it")
        write_text(out / CLASSES, "".join(f"{name}\n" for name in classes))
    patterns, shards = {}, 0
    for split in sorted({listing.split_of(path) for path in listing.paths}):
        paths = [path for path in listing.paths if listing.split_of(path) == split]
        paths.sort(key=lambda path: hashlib.sha256(path.encode()).digest())
        members = (
            _member(listing.root / path, names[path], numbers.get(listing.class_of(path)))
            for path in paths
        )
        stem, count = split or "images", 0
        for group in _groups(members, size):
            _write_shard(group, out / f"{stem}-{count:06d}.tar")
            progress(len(group))
            count += 1
        extra = out / f"{stem}-{count:06d}.tar"
        if extra.exists():
            raise UserError(f"{extra}: is of other shards than these; remove them, or give --out")
        last = f"{{000000..{count - 1:06d}}}" if count > 1 else "000000"
        patterns[split] = str(out / f"{stem}-{last}.tar")
        shards += count
    return Written(
        patterns,
        out / CLASSES if numbers else None,
        len(listing.paths),
        shards,
        sum(path != name for path, name in names.items()),
    )


def _name_of(root: Path, path: str) -> str:
    """A member's name: the path, without dots that would end its key, and with a known suffix."""
    stem, suffix = os.path.splitext(path)
    if suffix.lower() not in SUFFIXES:
        try:
            with open_regular(root / path) as file:
                found = format_of(file.read(HEADER_BYTES))
        except OSError as error:
            raise cannot_open(root / path, error.strerror) from error
        stem, suffix = path, f".{SUFFIX_OF.get(found or '', (found or 'png').lower())}"
    folder, slash, file_name = stem.rpartition("/")
    return f"{folder}{slash}{file_name.replace('.', '_')}{suffix}"


def _require_apart(names: dict[str, str]) -> None:
    seen: dict[str, str] = {}
    for path, name in names.items():
        other = seen.setdefault(key_of(name)[0], path)
        if other != path:
            raise UserError(f"{other} and {path} would have one key, {key_of(name)[0]}; rename one")


def _member(path: Path, name: str, label: int | None) -> _Member:
    try:
        return _Member(path, name, os.stat(path).st_size, label)
    except OSError as error:
        raise cannot_open(path, error.strerror) from error


def _groups(members: Iterator[_Member], size: int) -> Iterator[list[_Member]]:
    """Members of each shard: as many as fit, one at least."""
    group: list[_Member] = []
    filled = 0
    for member in members:
        blocks = sum(_BLOCK + -(-part // _BLOCK) * _BLOCK for _, part in member.parts())
        if group and filled + blocks > size:
            yield group
            group, filled = [], 0
        group.append(member)
        filled += blocks
    if group:
        yield group


def _write_shard(group: list[_Member], path: Path) -> None:
    if path.exists():
        _require_same(group, path)
        return
    with written_aside(path) as aside:
        with tarfile.open(aside, "w", format=tarfile.PAX_FORMAT) as archive:
            for member in group:
                (name, _), *more = member.parts()
                _add(archive, name, _bytes_of(member))
                for name, _ in more:
                    _add(archive, name, str(member.label).encode())
        sync(aside)


def _require_same(group: list[_Member], path: Path) -> None:
    """Refuse a shard whose members are not those that belong there."""
    wanted = [part for member in group for part in member.parts()]
    try:
        with tarfile.open(path, "r:") as archive:
            found = [(member.name, member.size) for member in archive]
    except (OSError, tarfile.TarError):
        found = []
    if found != wanted:
        raise UserError(
            f"{path}: is another shard than this folder and --size give; remove it, or give --out"
        )


def _bytes_of(member: _Member) -> bytes:
    try:
        with open_regular(member.path) as file:
            data = file.read()
    except OSError as error:
        raise cannot_open(member.path, error.strerror) from error
    if len(data) != member.size:
        raise UserError(f"{member.path}: has changed meanwhile; run again when it is at rest")
    return data


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """A member that is the same on every machine, whoever writes it."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    archive.addfile(info, io.BytesIO(data))
