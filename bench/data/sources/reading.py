"""One pass over the bytes of a file or a shard: hashed, checked, and made pixels of once.

`python -m bench.data.sources.reading` is a worker of `bench.data.sources.survey`: a task a line of
JSON comes in, its rows or an error go out. It needs neither pandas nor torch, so it starts at once.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict

from bench.data.decoding import decode, reason_of, square
from bench.data.sources.tar import read_shard
from bench.data.walk import cannot_open
from bench.errors import UserError
from bench.files import open_regular
from bench.memory import keep_freed_memory

Stamp = tuple[int, int, int]  # size, time of the last change of content, and of the inode


class Row(TypedDict):
    """An image: in which file of the source it is, and where there; hashes of bytes and pixels.

    `reason` says why it cannot be decoded; it has no pixels then. `label` is the text of a `.cls`.
    """

    place: str
    name: str
    offset: int
    size: int
    sha256: str
    pixels_sha256: str
    width: int
    height: int
    damaged: bool
    reason: str
    label: str


class Task(TypedDict):
    """Files of an image folder at `root`, or shards where it is None, with their stamps."""

    root: str | None
    places: list[tuple[str, Stamp]]
    resolution: int


def stamp_of(path: str | os.PathLike[str]) -> Stamp:
    """What shows that a file has changed; raises UserError where it is not there."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise cannot_open(Path(path), error.strerror) from error
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_places(task: Task) -> list[Row]:
    """Rows of all images in the files of a task, each file read once.

    Raises:
        UserError: a file cannot be opened, or is not the one of its stamp, or a shard is damaged.
    """
    rows: list[Row] = []
    for place, stamp in task["places"]:
        path = Path(place) if task["root"] is None else Path(task["root"], place)
        read = _shard if task["root"] is None else _file
        try:
            found = read(path, place, task["resolution"])
        except OSError as error:
            raise cannot_open(path, error.strerror) from error
        if stamp_of(path) != tuple(stamp):
            raise UserError(f"{path}: has changed while it was read; run again when it is at rest")
        if not found:
            raise UserError(f"shard {path}: has no images, such as KEY.jpg; write it anew")
        rows += found
    return rows


def _file(path: Path, place: str, resolution: int) -> list[Row]:
    with open_regular(path) as file:
        return [_row(file.read(), place, place, 0, resolution)]


def _shard(path: Path, place: str, resolution: int) -> list[Row]:
    with open_regular(path) as file:
        found = [
            (sample, _row(data, place, sample.name, sample.offset, resolution))
            for sample, data in read_shard(path, file)
        ]
    for sample, row in found:
        row["label"] = sample.label or ""
    return [row for _, row in found]


def _row(data: bytes, place: str, name: str, offset: int, resolution: int) -> Row:
    row = Row(
        place=place,
        name=name,
        offset=offset,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        pixels_sha256="",
        width=0,
        height=0,
        damaged=False,
        reason="",
        label="",
    )
    try:
        found = decode(io.BytesIO(data))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files.
        row["reason"] = reason_of(error)
        return row
    pixels = square(found.image, resolution=resolution)
    row["pixels_sha256"] = hashlib.sha256(pixels.tobytes()).hexdigest()
    row["width"], row["height"] = found.image.size
    row["damaged"] = found.metadata_damaged
    return row


def answers(lines: Iterator[str]) -> Iterator[str]:
    """An answer for every task: its rows as columns, or the error."""
    for line in lines:
        task: Task = json.loads(line)
        try:
            rows = read_places(task)
        except UserError as error:
            yield json.dumps({"error": str(error)})
        else:
            yield json.dumps({"rows": columns_of(rows)})


def columns_of(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Rows turned into columns."""
    return {name: [dict(row)[name] for row in rows] for name in Row.__annotations__}


if __name__ == "__main__":
    keep_freed_memory()
    for answer in answers(iter(sys.stdin.readline, "")):
        print(answer, flush=True)
