"""Finding the bytes of an image where they lie now, and making pixels of them.

sources/<digest>/<place>/   of a source of that digest, at one place
    locations.bin           48 bytes per readable image, in the order of the survey
    names.bin               paths of a folder's files, to which locations point
    source.json             the folder, or the shards
sources/<digest>/here.json  the place where it was found last

An image set names a digest and the rows of its images; the same images may move, or become shards,
and it stays what it is. What is read is held against its hash each time. Records are read one by
one from the disk: memory does not grow with their number.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.data.decoding import decode, square
from bench.data.sources.places import FolderSource
from bench.data.sources.survey import Survey
from bench.errors import UserError
from bench.files import content_key, open_regular, write_json, written_aside

LOCATION = np.dtype([("sha256", "S32"), ("offset", "<u8"), ("size", "<u4"), ("shard", "<u4")])
FILES = ("locations.bin", "names.bin")
MOST_OPEN = 256


def locate(survey: Survey, folder: Path) -> str:
    """Write down in `sources/<digest>` where the images of a survey are; the name of the place."""
    source, images = survey.source, survey.readable
    shards: list[str] = []
    names = b""
    locations = np.zeros(len(images), LOCATION)
    locations["sha256"] = np.frombuffer(bytes.fromhex("".join(images["sha256"])), "S32")
    if isinstance(source, FolderSource):
        paths = [path.encode() for path in images["name"]]
        names = b"".join(paths)
        lengths = np.array([len(path) for path in paths], np.int64)
        locations["size"] = lengths
        locations["offset"] = np.cumsum(lengths) - lengths
    else:
        shards = sorted(set(images["place"]))
        numbers = {path: number for number, path in enumerate(shards)}
        locations["size"], locations["offset"] = images["size"], images["offset"]
        locations["shard"] = images["place"].map(numbers)
    root = os.path.abspath(source.root) if isinstance(source, FolderSource) else None
    about = {"root": root, "shards": shards, "count": len(images)}
    files = {"locations.bin": locations.tobytes(), "names.bin": names}
    place = folder / _name_of(about, files)
    place.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        if not (place / name).is_file() or (place / name).read_bytes() != data:
            with written_aside(place / name) as aside:
                aside.write_bytes(data)
    write_json(place / "source.json", about)
    write_json(folder / "here.json", {"place": place.name})
    return place.name


def is_located(folder: Path, place: str) -> bool:
    """Whether a place of `sources/<digest>` is there as it was written; images are there then."""
    try:
        about = json.loads((folder / place / "source.json").read_bytes())
        files = {name: (folder / place / name).read_bytes() for name in FILES}
    except (OSError, ValueError):
        return False
    if _name_of(about, files) != place:
        return False
    write_json(folder / "here.json", {"place": place})
    return True


def _name_of(about: dict[str, Any], files: dict[str, bytes]) -> str:
    return content_key([about, *(hashlib.sha256(files[name]).hexdigest() for name in FILES)])


class LocatedImages:
    """Images of a source by their number among the `rows` of an image set: random access, no state.

    `folder` is that of the source's digest (see this module's text), `rows` a file of int64.
    """

    def __init__(self, folder: Path, rows: Path, *, resolution: int):
        self.folder, self.rows, self.resolution = folder, rows, resolution
        self.count = rows.stat().st_size // 8
        try:
            self.place = folder / json.loads((folder / "here.json").read_bytes())["place"]
            about: dict[str, Any] = json.loads((self.place / "source.json").read_bytes())
        except (OSError, ValueError, KeyError):
            raise UserError(
                f"{folder}: where the images are is not known any more; run the suite again"
            ) from None
        self.root, self.shards = about["root"], about["shards"]
        self._open: dict[Path, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.count

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.folder, self.rows, self.resolution)

    def read(self, index: int) -> np.ndarray:
        """An image as it is evaluated, the centre of it: uint8 `[3, R, R]`."""
        return square(self.decoded(index), resolution=self.resolution)

    def decoded(self, index: int) -> Image.Image:
        """An image in its own size, upright RGB."""
        return decode(io.BytesIO(self.encoded(index))).image

    def encoded(self, index: int) -> bytes:
        """The bytes of an image's file.

        Raises:
            UserError: they are not there, or not those that the image set was made of.
        """
        row = int.from_bytes(self._bytes(self.rows, 8 * index, 8), "little")
        data = self._bytes(self.place / "locations.bin", LOCATION.itemsize * row, LOCATION.itemsize)
        (found,) = np.frombuffer(data, LOCATION)
        offset, size = int(found["offset"]), int(found["size"])
        try:
            if self.root is None:
                where = self.shards[found["shard"]]
                data = self._bytes(Path(where), offset, size)
            else:
                name = self._bytes(self.place / "names.bin", offset, size).decode()
                where = os.path.join(self.root, name)
                with open_regular(Path(where)) as file:
                    data = file.read()
        except OSError as error:
            raise _changed(where, error.strerror or str(error)) from error
        # numpy drops zeros at the end.
        if hashlib.sha256(data).digest() != bytes(found["sha256"]).ljust(32, b"\0"):
            raise _changed(where, "other content")
        return data

    def _bytes(self, path: Path, offset: int, size: int) -> bytes:
        """A part of a file, by a position that no two processes share."""
        with self._lock:
            if path not in self._open:
                if len(self._open) >= MOST_OPEN:
                    os.close(self._open.pop(next(iter(self._open))))
                self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self._open[path], size, offset)

    def __del__(self) -> None:
        for descriptor in self.__dict__.get("_open", {}).values():
            os.close(descriptor)


def _again(folder: Path, rows: Path, resolution: int) -> LocatedImages:
    return LocatedImages(folder, rows, resolution=resolution)


def _changed(where: str, how: str) -> UserError:
    return UserError(
        f"{where}: has changed since the images were listed ({how}); run again to take them as "
        "they are now"
    )
