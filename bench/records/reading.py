"""The records of a suite: files of `records/<suite>`, one per cell whether it succeeded or not."""

from __future__ import annotations

import json
from pathlib import Path

from bench.errors import UserError
from bench.records.record import SCHEMA_VERSION, Record, parse_record
from bench.store.store import Store


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
    if isinstance(found, dict) and found.get("schema_version", 0) > SCHEMA_VERSION:
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
    return [parse_record(path.read_bytes(), where=str(path)) for path in paths]
