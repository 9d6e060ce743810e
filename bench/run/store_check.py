"""Checking a whole store: artifacts by their hashes, and whatever else lies in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

from bench.data.fingerprint import is_readable
from bench.errors import UserError
from bench.files import unsealed
from bench.records.record import Record, parse_record
from bench.store.checkpoints import load_tensors
from bench.store.integrity import mending, names_in
from bench.store.store import FOLDERS, Store
from bench.store.sums import read_summed
from bench.tracker.database import is_whole

REMOVE = "remove it: check-store --remove"


@dataclass(frozen=True)
class Finding:
    """Something in a store that is not as it should be: `damaged`, `missing` or `foreign`."""

    kind: str
    path: Path
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.kind:8} {self.path} {self.reason}; {self.remedy}"


@dataclass
class StoreCheck:
    """The check of a store: `found` what is wrong, `artifacts` looked at, `hashed` for the first
    time, as an old version had written them."""

    store: Store
    found: list[Finding]
    artifacts: int = 0
    hashed: int = 0

    def remove(self) -> None:
        """Remove what was found damaged or foreign, and what runs have set aside."""
        for path in (*(one.path for one in self.found), self.store.root / "damaged"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def check_store(store: Store, *, started: Callable[[int], Callable[[int], None]]) -> StoreCheck:
    """Look at all there is; `started(total)` gives what is told of each artifact."""
    check = StoreCheck(store, [])
    records = list(_records(check))
    suites = {(one.stage, one.key): record.suite for record in records for one in record.stages}
    folders = [
        folder
        for stage in sorted(store.root.iterdir())
        if stage.is_dir() and stage.name not in FOLDERS
        for folder in sorted(stage.iterdir())
    ]
    advance = started(len(folders))
    for folder in folders:
        _artifact(check, folder, suites.get((folder.parent.name, folder.name), ""))
        advance(1)
    for record in records:
        _of_record(check, record)
    check.found += _beside(store)
    return check


def _artifact(check: StoreCheck, folder: Path, suite: str) -> None:
    store, of = check.store, (folder.parent.name, folder.name)
    if not folder.is_dir():
        check.found.append(Finding("foreign", folder, "is no artifact", REMOVE))
        return
    check.artifacts += 1
    check.hashed += store.has(*of) and not store.is_hashed(*of)
    error = store.check(*of, anew=True)
    if error is not None:
        kind = "missing" if error.reason.endswith("is missing") else "damaged"
        check.found.append(Finding(kind, folder, f"({error.reason})", mending(suite)))
        return
    for name in set(names_in(folder)) - {*store.description(*of)["files"]}:
        check.found.append(Finding("foreign", folder / name, "is not of this artifact", REMOVE))


def _records(check: StoreCheck) -> Iterator[Record]:
    for path in sorted((check.store.root / "records").glob("*/*.json")):
        try:
            yield parse_record(read_summed(path), where=str(path))
        except (UserError, OSError):
            remedy = mending(path.parent.name)
            check.found.append(Finding("damaged", path, "is not as it was written", remedy))


def _of_record(check: StoreCheck, record: Record) -> None:
    for name in filter(None, (record.images, record.gallery)):
        path = check.store.root / name
        if not path.exists() and path.parent not in [one.path for one in check.found]:
            remedy = mending(record.suite)
            check.found.append(Finding("missing", path, f"(of {record.label})", remedy))


def _beside(store: Store) -> Iterator[Finding]:
    """What else may be torn; none of it holds a result, and all is made anew."""
    checks: tuple[tuple[str, Callable[[Path], bool]], ...] = (
        ("failed/*.json", _is_sealed),
        ("views/*.json", _is_sealed),
        ("verified/*.json", _is_json),
        ("file_hashes/*.parquet", is_readable),
        ("work/*/*.safetensors", _is_loadable),
        ("mlflow.db", is_whole),
    )
    for pattern, whole in checks:
        for path in sorted(store.root.glob(pattern)):
            if not whole(path):
                remedy = f"{mending()} makes it anew"
                yield Finding("damaged", path, "is not as it was written", remedy)


def _is_sealed(path: Path) -> bool:
    try:
        unsealed(path.read_bytes())
    except (OSError, ValueError):
        return False
    return True


def _is_json(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except (OSError, ValueError):
        return False


def _is_loadable(path: Path) -> bool:
    try:
        load_tensors(path)
    except (OSError, ValueError, SafetensorError):
        return False
    return True
