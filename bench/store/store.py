"""The store: artifacts of stages, addressed by content, that appear by one rename when complete.

store/<stage>/<key>/        a complete artifact; `stage.json` describes it
store/work/<stage>-<key>/   what an unfinished stage has so far, checkpoints included
store/failed/               one JSON file per failed stage, removed when it succeeds
store/locks/                one lock file per stage that was ever computed
store/records/<suite>/      the records of a suite's cells, and which of them its runs had
store/searches/             the trials of searches, in order
store/halving/              which trainings were stopped early, by their values at the rungs
store/damaged/              what was not as it had been written, and was computed again
store/verified/             stamps of files whose hashes were right; may be removed at any time
store/file_hashes/          what is remembered of image folders; may be removed at any time
store/surveys/              the same of images that stay in their files or shards
store/sources/              where the images of such a source lie now, by its digest
store/views/                what reports and MLflow were made of; may be removed at any time
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedWriter
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.errors import UserError
from bench.files import content_key, name_as_it_would_be, sealed, told, unsealed, write_json
from bench.store.integrity import (
    DamagedError,
    damage,
    describe,
    listed_files,
    read_description,
    remembered,
)

DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM}
# Of the root, those that hold no artifacts.
FOLDERS = (
    *("work", "failed", "locks", "records", "damaged", "verified", "file_hashes", "views"),
    *("surveys", "sources", "reports", "mlflow-artifacts", "searches", "halving"),
)
_PROBE_BYTES = 1 << 20


@dataclass(frozen=True)
class Store:
    """A store under an absolute folder; see the module's text for its layout."""

    root: Path

    @staticmethod
    def open(root: str | Path) -> Store:
        """Create or open a store.

        Raises:
            UserError: the folder cannot be written, the disk is full, or its file system has no
                locks.
        """
        path = Path(root).expanduser().absolute()
        probe = path / f".probe.{os.getpid()}"
        try:
            path.mkdir(parents=True, exist_ok=True)
            with probe.open("wb") as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
                _require_locks(file, path)
        except OSError as error:
            name_as_it_would_be(error, probe, path)
            raise disk_error(path, error) from error
        finally:
            with contextlib.suppress(OSError):  # The write has failed already, and says why.
                probe.unlink(missing_ok=True)
        return Store(path)

    def artifact(self, stage: str, key: str) -> Path:
        """Folder of a complete artifact, whether it exists or not."""
        return self.root / stage / key

    def has(self, stage: str, key: str) -> bool:
        """Whether the artifact is complete: described, and all files of their sizes."""
        return damage(self.artifact(stage, key), hashed=False) is None

    def description(self, stage: str, key: str) -> dict[str, Any]:
        """The `stage.json` of a complete artifact; see `read_description`."""
        return read_description(self.artifact(stage, key))

    def is_hashed(self, stage: str, key: str) -> bool:
        """Whether a complete artifact carries hashes: those of the first versions do not."""
        return "files" in self.description(stage, key)

    def check(self, stage: str, key: str, *, anew: bool = False) -> DamagedError | None:
        """All that is wrong with an artifact that is there, by the hashes of its files.

        Files that this store has found right before and that bear the same stamp since are not read
        again, except `anew`. An artifact of an old version gets its hashes here.
        """
        folder, memory = self.artifact(stage, key), self.root / "verified" / f"{stage}-{key}.json"
        known = {} if anew else _remembered(memory)
        found = damage(folder, known=known)
        if found is None:
            if listed_files(folder) is None:
                describe(folder, read_description(folder))
            now = remembered(folder)
            if now != known:
                with contextlib.suppress(OSError):  # Read-only or full: they are read again then.
                    write_json(memory, now)
        return found

    def set_aside(self, stage: str, key: str) -> Path | None:
        """Move a damaged artifact to `damaged/`, where it lies then; None if it is whole again."""
        with self.locked(f"{stage}-{key}"):
            folder = self.artifact(stage, key)
            return None if damage(folder) is None else self._set_aside(folder)

    def _set_aside(self, folder: Path) -> Path | None:
        if not folder.exists():
            return None
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        place = self.root / "damaged" / f"{folder.parent.name}-{folder.name}-{now}"
        place.parent.mkdir(exist_ok=True)
        os.replace(folder, place)
        return place

    def work(self, stage: str, key: str) -> Path:
        """Folder of an unfinished stage."""
        return self.root / "work" / f"{stage}-{key}"

    def file_hashes(self, folder: str | Path) -> Path:
        """The file that remembers hashes of an image folder, whether there is one or not."""
        name = content_key(str(Path(folder).absolute()))
        return self.root / "file_hashes" / f"{name}.parquet"

    def survey(self, source: str, resolution: int) -> Path:
        """The folder that remembers what a source of this name holds, for images of a side."""
        return self.root / "surveys" / f"{source}-{resolution}"

    def source(self, digest: str) -> Path:
        """The folder that says where the images of a digest are."""
        return self.root / "sources" / digest

    def failure(self, stage: str, key: str) -> str | None:
        """The error of the last failed attempt at a stage, if it has not succeeded since."""
        try:
            return str(unsealed(self._failure(stage, key).read_bytes())["error"])
        except (FileNotFoundError, ValueError, KeyError):  # Torn: the stage is tried again anyway.
            return None

    def record_failure(self, stage: str, key: str, error: str) -> None:
        """Remember why a stage failed, and when: the file is as old as the last failure."""
        note = {"stage": stage, "key": key, "error": error}
        write_json(self._failure(stage, key), sealed(note))
        self._failure(stage, key).touch()

    def _failure(self, stage: str, key: str) -> Path:
        return self.root / "failed" / f"{stage}-{key}.json"

    @contextmanager
    def locked(self, name: str, *, seconds: float = -1) -> Iterator[None]:
        """Hold a named lock of the store; it is released even if the process is killed.

        Raises:
            filelock.Timeout: another process has held it for so many seconds; by default, never.
        """
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock", timeout=seconds):
            yield

    def is_locked(self, name: str) -> bool:
        """Whether another process holds a named lock now."""
        try:
            with self.locked(name, seconds=0):
                return False
        except Timeout:
            return True

    def publish(self, stage: str, key: str, description: dict[str, Any]) -> Path:
        """Make the work folder the artifact, in one rename, with size and hash of every file.

        What lies in its place is damaged, and set aside.
        """
        work, artifact = self.work(stage, key), self.artifact(stage, key)
        describe(work, {"stage": stage, "key": key, **description})
        artifact.parent.mkdir(parents=True, exist_ok=True)
        self._set_aside(artifact)
        os.replace(work, artifact)
        write_json(self.root / "verified" / f"{stage}-{key}.json", remembered(artifact))
        self._failure(stage, key).unlink(missing_ok=True)
        return artifact


def _require_locks(file: BufferedWriter, store: Path) -> None:
    """Refuse a file system without flock, where a lock's library would leave files instead.

    Those of a node that dies would keep everybody else waiting for ever.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UserError(
            f"the store {store}: its file system has no file locks ({told(error)}), so that two "
            "processes could compute one stage at once; mount it with flock (Lustre: -o flock; "
            "NFS: without nolock), or give --store on another one"
        ) from None


def _remembered(memory: Path) -> dict[str, Any]:
    """What `check` left; nothing where that is missing or torn."""
    try:
        found = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def disk_error(store: Path | None, error: OSError) -> UserError:
    """The one line for what cannot be read or written, in this store or elsewhere."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    named = Path(os.fsdecode(error.filename)).absolute() if error.filename else store
    if store is None or named is None or not _contains(store, named):
        remedy = "free space there" if full else "change its permissions, or choose another one"
        return UserError(f"{named or 'disk'}: {told(error)}; {remedy}")
    if named.is_file() and not os.access(named, os.R_OK):
        return UserError(f"cannot read {named}: {told(error)}; make it readable, or give --store")
    remedy = "free space there" if full else "make it writable"
    where = named if named.is_relative_to(store) else store
    return UserError(f"cannot write to the store {where}: {told(error)}; {remedy}, or give --store")


def _contains(store: Path, named: Path) -> bool:
    """Whether it lies in the store, or the store in it: what was to be made for the store."""
    return named.is_relative_to(store) or store.is_relative_to(named)
