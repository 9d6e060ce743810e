"""Records: the self-describing result file of each cell, written whether it succeeded or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.store.store import Store

SCHEMA_VERSION = 1


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


def read_records(folder: Path) -> list[dict[str, Any]]:
    """All records of a suite's folder, by file name.

    Raises:
        UserError: there are none, one is of a newer schema, or one is not a whole record.
    """
    records = [_read_record(path) for path in sorted(folder.glob("*.json"))]
    if not records:
        raise UserError(f"no records in {folder}; run the suite first, or give --store")
    return records


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text("utf-8"))
    except ValueError as error:  # Not JSON, or not UTF-8.
        raise UserError(
            f"{path}: not a whole record ({error}); run its suite again, which writes it anew"
        ) from None
    if not isinstance(record, dict) or not isinstance(record.get("schema_version"), int):
        raise UserError(f"{path}: not a record of adatok-bench; move it elsewhere")
    if record["schema_version"] > SCHEMA_VERSION:
        raise UserError(f"{path}: written by a newer adatok-bench; update this one to read it")
    return record
