"""Integrity of artifacts: `stage.json` has the size and SHA-256 of each file, and seals itself.

Sizes cost a look at the folder, and are checked whenever an artifact is asked for. A file is hashed
when a process uses it for the first time, and again only where its stamp (size, times, inode) is
another. Artifacts of the first versions carry no hashes, and are taken as they are.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.files import file_sha256, sealed, unsealed, write_json

DESCRIPTION = "stage.json"

Stamp = tuple[int, int, int, int]
Files = dict[str, dict[str, Any]]


class DamagedError(UserError):
    """An artifact that is not as it was written; `reason` begins with the file's name."""

    def __init__(self, folder: Path, reason: str, suite: str = ""):
        super().__init__(f"{folder / reason}; mend it with: {mending(suite)}")
        self.stage, self.key, self.reason = folder.parent.name, folder.name, reason


def mending(suite: str = "") -> str:
    """The command that computes again what is damaged."""
    return "adatok-bench run SUITE" + f" (the file of suite '{suite}')" * bool(suite)


def stamp_of(path: str | Path) -> Stamp:
    """Size, times and inode of a regular file; raises OSError."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError("is no file")
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


@functools.cache
def _hashed(path: str, stamp: Stamp) -> str:
    return file_sha256(path)


def names_in(folder: Path) -> list[str]:
    """The files of an artifact besides its description, by their paths in it."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(
        name for path in found if (name := path.relative_to(folder).as_posix()) != DESCRIPTION
    )


def describe(folder: Path, description: Mapping[str, Any]) -> None:
    """Write `stage.json`: the description with size and hash of every file that is there."""
    files = {}
    for name in names_in(folder):
        stamp = stamp_of(path := f"{folder}/{name}")
        files[name] = {"bytes": stamp[0], "sha256": _hashed(path, stamp)}
    write_json(folder / DESCRIPTION, sealed({**description, "files": files}))


def read_description(folder: Path) -> dict[str, Any]:
    """The content of `stage.json`, without its seal; an old version's has no `files`.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is torn, changed, or another artifact's.
    """
    path = folder / DESCRIPTION
    return {**_description(path, stamp_of(path))}


@functools.lru_cache(maxsize=1024)
def _description(path: Path, stamp: Stamp) -> dict[str, Any]:
    folder = path.parent
    try:
        found = unsealed(path.read_bytes())
        belongs = (found["stage"], found["key"]) == (folder.parent.name, folder.name)
    except (ValueError, KeyError, RecursionError):
        raise DamagedError(folder, f"{DESCRIPTION} is damaged") from None
    if not belongs:
        raise DamagedError(folder, f"{DESCRIPTION} is another artifact's")
    return found


def listed_files(folder: Path) -> Files | None:
    """Sizes and hashes that an artifact carries; None in one of an old version."""
    return read_description(folder).get("files")


def damage(
    folder: Path,
    *,
    names: Collection[str] | None = None,
    hashed: bool = True,
    known: Mapping[str, Any] | None = None,
) -> DamagedError | None:
    """The first thing wrong with an artifact; None where all is as it was written.

    Args:
        folder: the artifact, which need not be there.
        names: the files to look at; None for all.
        hashed: whether contents are looked at, and not only sizes.
        known: hashes and stamps of earlier (`remembered`): such a file is not read again.
    """
    try:
        files = listed_files(folder)
    except FileNotFoundError:
        return DamagedError(folder, f"{DESCRIPTION} is missing")
    except DamagedError as error:
        return error
    if files is None:
        files = {name: {} for name in names or ()}
    for name in files if names is None else names:
        # Texts, as these are many and paths are slow.
        reason = _wrong(f"{folder}/{name}", files.get(name), hashed, (known or {}).get(name))
        if reason:
            return DamagedError(folder, f"{name} {reason}")
    return None


def _wrong(path: str, listed: dict[str, Any] | None, hashed: bool, known: Any) -> str | None:
    try:
        stamp = stamp_of(path)
        if listed is None:
            return "is foreign"
        if "bytes" in listed and stamp[0] != listed["bytes"]:
            return f"is damaged ({stamp[0]} bytes, {listed['bytes']} were written)"
        if "sha256" not in listed or not hashed or known == [listed["sha256"], *stamp]:
            return None
        right = _hashed(path, stamp) == listed["sha256"]
        return None if right else "is damaged (its SHA-256 is another)"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def remembered(folder: Path) -> dict[str, list[Any]]:
    """Hashes and stamps of a whole artifact's files: what `damage` takes as `known`."""
    return {
        name: [about["sha256"], *stamp_of(f"{folder}/{name}")]
        for name, about in (listed_files(folder) or {}).items()
    }


def verified(folder: Path, *names: str, suite: str = "") -> Path:
    """The folder of an artifact whose files, or those named, are found to be as they were written.

    The one way by which stages and readers come to what the store holds.

    Raises:
        DamagedError: they are not, or are gone; names the command that mends it.
    """
    found = damage(folder, names=names or None)
    if found is not None:
        raise DamagedError(folder, found.reason, suite)
    return folder


def verified_file(path: Path, *, suite: str = "") -> Path:
    """The same for one file: its path."""
    return verified(path.parent, path.name, suite=suite) / path.name


def has_travelled(artifact: Path) -> bool:
    """Whether a record came without its store: there are no artifacts of this stage at all."""
    return not artifact.parent.is_dir()
