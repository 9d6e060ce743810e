"""The curve of a training while it runs: rows of its history, as JSON lines in its work folder."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.files import write_text

FILE = "history.jsonl"


@dataclass
class CurveWriter:
    """Keeps the file in `work` up to a history, which only grows."""

    work: Path
    _written: int | None = None

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Append the rows that are new; the first time, begin the file anew with all of them.

        A disk that is full is no reason to end a training: whatever must be kept says so itself.
        """
        rows = history[self._written or 0 :]
        text = "".join(f"{json.dumps(dict(row))}\n" for row in rows)
        try:
            if self._written is None:
                write_text(self.work / FILE, text)
            else:
                with (self.work / FILE).open("a", encoding="utf-8") as file:
                    file.write(text)
            self._written = len(history)
        except OSError:
            self._written = None  # A line may be torn: all are written again.


@dataclass
class CurveReader:
    """Follows the file in `work`, which another process writes, on this machine or another."""

    work: Path
    _file: int = 0
    _read: int = 0
    _step: float = -1.0

    def rows(self) -> list[dict[str, Any]]:
        """Rows of steps after all those given before; a last line that is torn has to wait.

        A training that goes on from a checkpoint begins its file anew.
        """
        found = []
        with contextlib.suppress(OSError), (self.work / FILE).open("rb") as file:
            about = os.fstat(file.fileno())
            if about.st_ino != self._file or about.st_size < self._read:
                self._file, self._read = about.st_ino, 0
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
            self._read += len(whole) + len(end)
            for line in whole.splitlines():
                row = _row(line)
                if row is not None and row["step"] > self._step:
                    self._step = row["step"]
                    found.append(row)
        return found


def _row(line: bytes) -> dict[str, Any] | None:
    """A line that is one; others were torn by a full disk."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int | float) else None
