"""A folder of one process: gone when it ends, and at the next start if it was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

END_SECONDS = 5.0

# Of this process, and not removed yet.
_OWN: set[Path] = set()


@contextmanager
def own_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder `prefix…` below `parent`, which only its owner may enter.

    Those that processes now dead have left there are removed, first and last. A lock beside the
    folder, which ends with its process, tells them from those of the living.

    Raises:
        OSError: it cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    remove_left(parent, prefix)
    folder = parent / f"{prefix}{os.urandom(4).hex()}"
    lock = FileLock(_lock(folder))
    lock.acquire()  # Before the folder is there, so that nobody takes it for one that was left.
    try:
        folder.mkdir(mode=0o700)
        _OWN.add(folder)
        yield folder
    finally:
        _remove(folder)
        _OWN.discard(folder)
        lock.release()
        remove_left(parent, prefix)  # Of what died meanwhile, or was still writing at first.


def remove_left(parent: Path, prefix: str) -> None:
    """Remove the folders of processes that are dead, as far as they are this user's.

    Whatever those started and still writes there, as Ray's agents do for minutes, is ended first.
    """
    for left in parent.glob(f"{prefix}*/"):
        with contextlib.suppress(OSError, Timeout):  # Of the living, or of somebody else.
            if left.stat().st_uid == os.getuid():
                with FileLock(_lock(left), timeout=0):
                    _end_writers(left)
                    _remove(left)


def remove_own() -> None:
    """Remove all that this process has: for whoever ends it without leaving blocks."""
    for folder in tuple(_OWN):
        _remove(folder)


def _end_writers(folder: Path) -> None:
    writers = [process for process in psutil.process_iter() if _writes_to(process, folder)]
    for process in writers:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(writers, timeout=END_SECONDS)


def _writes_to(process: psutil.Process, folder: Path) -> bool:
    """Whether it has a file below the folder open, and not only to read it."""
    try:
        if process.pid == os.getpid() or process.uids().real != os.getuid():
            return False
        opened = [file.path for file in process.open_files() if file.mode != "r"]
    except psutil.Error:  # Ended meanwhile, or hidden.
        return False
    return any(Path(path).is_relative_to(folder.resolve()) for path in opened)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _lock(folder).unlink(missing_ok=True)


def _lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
