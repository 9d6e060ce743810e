"""Arrays of a stage that are written a part of their rows at a time, in place.

    NAME.npy                all rows; those that are not there yet are a hole
    part-000001024.json     the rows from 1024 on are there, and what their hash is

Parts know nothing of each other, so an interrupted stage goes on with those that are missing or
torn, and several processes may write at once. Nothing is put together at the end.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.files import canonical_json, sync, write_json

FORM = 1
_MARK = "part-{:09d}.json"


@dataclass(frozen=True)
class RowArrays:
    """Arrays of `count` rows in the work folder of a stage."""

    folder: Path
    count: int

    def write(self, first: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write rows from `first` on of each array, to the disk, then the mark that they are there.

        Raises:
            OSError: there is no room for them.
        """
        for name, rows in arrays.items():
            self._write_rows(name, first, np.ascontiguousarray(rows))
        sync(self.folder)
        last = first + len(next(iter(arrays.values())))
        kinds = {name: _kind(rows) for name, rows in sorted(arrays.items())}
        mark = {"first": first, "last": last, "arrays": kinds}
        write_json(self._mark(first), {**mark, "seal": self._seal(mark, arrays)})

    def has(self, first: int, last: int) -> bool:
        """Whether the rows from `first` to `last` are there as they were written."""
        try:
            mark = json.loads(self._mark(first).read_bytes())
            seal = mark.pop("seal")
            arrays = {name: self.array(name)[first:last] for name in mark["arrays"]}
            kinds = {name: _kind(rows) for name, rows in arrays.items()}
            expected = {"first": first, "last": last, "arrays": kinds}
            return bool(mark == expected and seal == self._seal(mark, arrays))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    @property
    def marked(self) -> int:
        """How many parts there are, as far as their marks say."""
        return len(self._marks())

    def array(self, name: str) -> np.ndarray:
        """An array as far as it is written, memory-mapped.

        Raises:
            ValueError: it is torn, or of another number of rows.
        """
        found: np.ndarray = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        if len(found) != self.count:
            raise ValueError(f"{self.folder / name}.npy has {len(found)} rows, not {self.count}")
        return found

    def names(self) -> list[str]:
        """The arrays that all parts have.

        Raises:
            RuntimeError: parts disagree on what arrays there are.
        """
        kinds = [json.loads(mark.read_bytes())["arrays"] for mark in self._marks()]
        if any(kind != kinds[0] for kind in kinds):
            raise RuntimeError(f"{self.folder}: parts of the arrays differ in kind")
        return sorted(kinds[0])

    def finish(self) -> None:
        """Leave the arrays alone: without the marks."""
        for mark in self._marks():
            mark.unlink()

    def _write_rows(self, name: str, first: int, rows: np.ndarray) -> None:
        header = _header(rows.dtype, (self.count, *rows.shape[1:]))
        bytes_of_row = rows.dtype.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64))
        size = len(header) + self.count * bytes_of_row
        file = os.open(self.folder / f"{name}.npy", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _write_at(file, 0, memoryview(header))
            if os.fstat(file).st_size != size:
                os.ftruncate(file, size)
            data = rows.reshape(-1).view(np.uint8).data
            _write_at(file, len(header) + first * bytes_of_row, data)
            os.fsync(file)
        finally:
            os.close(file)

    def _seal(self, mark: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
        """A hash of the stage that a part is of, of its mark and its rows."""
        seal = hashlib.sha256(canonical_json([FORM, self.folder.name, self.count, mark]).encode())
        for _, rows in sorted(arrays.items()):
            seal.update(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)
        return seal.hexdigest()

    def _mark(self, first: int) -> Path:
        return self.folder / _MARK.format(first)

    def _marks(self) -> list[Path]:
        return sorted(self.folder.glob(_MARK.replace("{:09d}", "*")))


def _kind(rows: np.ndarray) -> list[Any]:
    """The type of an array's numbers, and the shape of a row."""
    return [np.lib.format.dtype_to_descr(rows.dtype), list(rows.shape[1:])]


def _header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The bytes before an array's own in a `.npy` file."""
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
    np.lib.format.write_array_header_1_0(header, {**described, "shape": shape})
    return header.getvalue()


def _write_at(file: int, offset: int, data: memoryview) -> None:
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written
