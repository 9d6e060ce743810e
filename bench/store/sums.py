"""Records with the SHA-256 of what was written beside them, as `sha256sum -c` reads it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.files import file_sha256, has_text, json_text, write_text
from bench.store.integrity import mending


def sum_path(path: Path) -> Path:
    """Where the hash of a file lies."""
    return path.with_suffix(".sha256")


def write_summed(path: Path, value: Any) -> None:
    """Write a JSON file and its hash; a kill between the two leaves it without one.

    Where both are this already, they stay as they are.
    """
    text = json_text(value)
    line = f"{hashlib.sha256(text.encode()).hexdigest()}  {path.name}\n"
    if not (has_text(path, text) and has_text(sum_path(path), line)):
        sum_path(path).unlink(missing_ok=True)
        write_text(path, text)
        write_text(sum_path(path), line)


def is_as_written(path: Path) -> bool:
    """Whether a file has the hash it was written with, as far as that is known."""
    if not sum_path(path).is_file():
        return True
    known = sum_path(path).read_bytes().split()
    return known[:1] == [file_sha256(path).encode()]


def read_summed(path: Path) -> bytes:
    """The content of a file, as it was written where its hash is known.

    Raises:
        UserError: it has changed; names the command that mends it.
    """
    if not is_as_written(path):
        raise UserError(
            f"{path}: is not as it was written; mend it with: {mending(path.parent.name)}"
        )
    return path.read_bytes()
