"""Files and their identity: hashes, JSON in one form, writing aside."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_key(value: Any) -> str:
    """16 hex digits that identify a JSON-able value."""
    return content_sha256(value)[:16]


def content_sha256(value: Any) -> str:
    """SHA-256 of a JSON-able value, in hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_of(file: BufferedReader) -> str:
    """SHA-256 of what is left of an open file, in hexadecimal digits."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    with open_regular(Path(path)) as file:
        return sha256_of(file)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A place beside `path` to write a file or a folder; leaving the block renames it to `path`.

    Readers see the old file or the new one. If the block raises, nothing is left of the new one.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield aside
        os.replace(aside, path)
    except OSError as error:
        name_as_it_would_be(error, aside, path)
        raise
    finally:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        aside.unlink(missing_ok=True)


def name_as_it_would_be(error: OSError, aside: Path, path: Path) -> None:
    """Have an error name what lies `aside` by the place it is for; a failed write names no file."""
    if error.errno is not None:
        error.filename = str(error.filename or path).replace(str(aside), str(path))


def told(error: OSError) -> str:
    """The system's words for an error, which Arrow hides in its own."""
    return os.strerror(error.errno) if error.errno else str(error)


def impossible_path(path: str | Path) -> str | None:
    """The system's words if no file can be at the path: too long, or links in a circle."""
    try:
        os.stat(path)
    except OSError as error:
        return told(error) if error.errno in (errno.ENAMETOOLONG, errno.ELOOP) else None
    return None


def write_text(path: Path, text: str) -> None:
    """Write a file by `written_aside`, and to the disk before it is renamed.

    A file that has this text already stays as it is.
    """
    if has_text(path, text):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside, aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def has_text(path: Path, text: str) -> bool:
    """Whether a file is there and holds exactly this."""
    return path.is_file() and path.read_bytes() == text.encode()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file by `write_text`, as `json_text` has it."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """The text of a JSON file; NaN is stored as null."""
    return json.dumps(_null_for_nan(value), indent=1, allow_nan=False) + "\n"


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """JSON-able content with its own SHA-256 as `seal`; `unsealed` finds it changed."""
    plain = as_json(value)
    return {**plain, "seal": _seal(plain)}


def as_json(value: Any) -> Any:
    """The value as a JSON file gives it back: NaN is null, a tuple a list, a key a text."""
    return json.loads(json.dumps(_null_for_nan(value), allow_nan=False))


def unsealed(text: str | bytes) -> dict[str, Any]:
    """The content of the JSON of `sealed`, without the seal; raises ValueError if it changed.

    Content of the first versions bears none, and is taken as it is.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("is no JSON object")
    seal = found.pop("seal", None)
    if seal is not None and seal != _seal(found):
        raise ValueError("does not bear its own seal")
    return found


def _seal(plain: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(plain).encode()).hexdigest()


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
