"""The records of a suite: files of `records/<suite>`, one per cell whether it succeeded or not."""

from __future__ import annotations

import json
from pathlib import Path

from bench.errors import UserError
from bench.records.record import SCHEMA_VERSION, Record, parse_record
from bench.store.store import Store
from bench.store.sums import is_as_written, read_summed


def record_path(store: Store, suite_name: str, cell_key: str) -> Path:
    """Where the record of a cell lies."""
    return store.root / "records" / suite_name / f"{cell_key}.json"


def refuse_newer(path: Path) -> None:
    """Refuse to touch a record of a newer schema.

    A record that is torn holds nothing to lose, and may be written anew.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return
    version = found.get("schema_version") if isinstance(found, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION and is_as_written(path):
        raise UserError(
            f"{path}: written by a newer adatok-bench and not overwritten; update this one, or "
            "give another --store"
        )


def read_records(folder: Path) -> list[Record]:
    """All records of a suite's folder, by file name.

    Raises:
        UserError: there are none, or one is none that this version can read (see `parse_record`).
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise UserError(f"no records in {folder}; run the suite first, or give --store")
    return [parse_record(read_summed(path), where=str(path)) for path in paths]
