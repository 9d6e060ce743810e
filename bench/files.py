"""Files and their identity: hashes, JSON in one form, writing aside."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_key(value: Any) -> str:
    """16 hex digits that identify a JSON-able value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def write_text(path: Path, text: str) -> None:
    """Write a file aside, then rename it into place: readers see the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file by `write_text`; NaN is stored as null."""
    write_text(path, json.dumps(_null_for_nan(value), indent=1, allow_nan=False) + "\n")


def _null_for_nan(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, dict):
        return {key: _null_for_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_null_for_nan(item) for item in value]
    return value


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file to read; FIFOs, devices and sockets are refused without being opened.

    Raises OSError.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    # Should a pipe have come in its place meanwhile, this waits for nobody.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
