"""The store: artifacts of stages, addressed by content, that appear by one rename when complete.

store/<stage>/<key>/        a complete artifact; `stage.json` describes it
store/work/<stage>-<key>/   what an unfinished stage has so far, checkpoints included
store/failed/               one JSON file per failed stage, removed when it succeeds
store/locks/                one lock file per stage that was ever computed
store/records/<suite>/      the records of a suite's cells, and which of them its runs had
store/file_hashes/          what is remembered of image folders; may be removed at any time
store/views/                what reports and MLflow were made of; may be removed at any time
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.errors import UserError
from bench.files import content_key, write_json

DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM}
_PROBE_BYTES = 1 << 20


@dataclass(frozen=True)
class Store:
    """A store under an absolute folder; see the module's text for its layout."""

    root: Path

    @staticmethod
    def open(root: str | Path) -> Store:
        """Create or open a store.

        Raises:
            UserError: the folder cannot be written, or the disk is full.
        """
        path = Path(root).expanduser().absolute()
        probe = path / f".probe.{os.getpid()}"
        try:
            path.mkdir(parents=True, exist_ok=True)
            with probe.open("wb") as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise disk_error(path, error) from error
        finally:
            with contextlib.suppress(OSError):  # The write has failed already, and says why.
                probe.unlink(missing_ok=True)
        return Store(path)

    def artifact(self, stage: str, key: str) -> Path:
        """Folder of a complete artifact, whether it exists or not."""
        return self.root / stage / key

    def has(self, stage: str, key: str) -> bool:
        """Whether the artifact is complete."""
        return (self.artifact(stage, key) / "stage.json").is_file()

    def description(self, stage: str, key: str) -> dict[str, Any]:
        """The `stage.json` of a complete artifact."""
        text = (self.artifact(stage, key) / "stage.json").read_text("utf-8")
        described: dict[str, Any] = json.loads(text)
        return described

    def work(self, stage: str, key: str) -> Path:
        """Folder of an unfinished stage."""
        return self.root / "work" / f"{stage}-{key}"

    def file_hashes(self, folder: str | Path) -> Path:
        """The file that remembers hashes of an image folder, whether there is one or not."""
        name = content_key(str(Path(folder).absolute()))
        return self.root / "file_hashes" / f"{name}.parquet"

    def failure(self, stage: str, key: str) -> str | None:
        """The error of the last failed attempt at a stage, if it has not succeeded since."""
        try:
            text = self._failure(stage, key).read_text("utf-8")
        except FileNotFoundError:
            return None
        error: str = json.loads(text)["error"]
        return error

    def record_failure(self, stage: str, key: str, error: str) -> None:
        """Remember why a stage failed."""
        write_json(self._failure(stage, key), {"stage": stage, "key": key, "error": error})

    def _failure(self, stage: str, key: str) -> Path:
        return self.root / "failed" / f"{stage}-{key}.json"

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold a named lock of the store; it is released even if the process is killed."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock"):
            yield

    def publish(self, stage: str, key: str, description: dict[str, Any]) -> Path:
        """Make the work folder the artifact, in one rename."""
        work, artifact = self.work(stage, key), self.artifact(stage, key)
        write_json(work / "stage.json", description)
        artifact.parent.mkdir(parents=True, exist_ok=True)
        if artifact.exists():  # Without stage.json: not made by this program's rename.
            shutil.rmtree(artifact)
        os.replace(work, artifact)
        self._failure(stage, key).unlink(missing_ok=True)
        return artifact


def disk_error(path: Path, error: OSError) -> UserError:
    """The one line for a store that cannot be written."""
    remedy = (
        "free space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "make it writable"
    )
    return UserError(
        f"cannot write to the store {path}: {error.strerror}; {remedy}, or give --store"
    )
