"""The records of a suite: files of `records/<suite>`, one per cell whether it succeeded or not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError
from bench.records.record import SCHEMA_VERSION, Record, parse_record
from bench.records.runs import Run, read_runs, superseded_by
from bench.records.settings_paths import repetitions
from bench.store.store import Store
from bench.store.sums import is_as_written, read_summed


@dataclass(frozen=True)
class SuiteRecords:
    """The records of a suite's current cells, and what there is besides.

    `others` are the keys of records that are left out, `missing` counts cells without a record,
    `runs` are those of the suite; `of_file` says that the cells are those of a suite's file.
    """

    folder: Path
    records: list[Record]
    others: tuple[str, ...]
    missing: int
    runs: list[Run]
    of_file: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """In words: cells without a record, and records left out."""
        missing = f"{self.missing} cells of the suite have no record yet"
        others = left_out(len(self.others), *["record"] * self.of_file)
        return (missing,) * bool(self.missing) + (others,) * bool(self.others)

    def superseded(self, key: str) -> str | None:
        """When a run took the place of a cell's record; None for a cell of the last run."""
        run = superseded_by(key, self.runs)
        return run.when if run else None

    def other_records(self) -> list[Record]:
        """The records that are left out, by file name.

        Raises:
            UserError: one is none that this version can read.
        """
        return [_read(self.folder / f"{key}.json") for key in self.others]


def left_out(count: int, kind: str = "superseded record") -> str:
    """What a command says of records of cells that a suite no longer has."""
    return f"left out: {count} {kind}{'s' * (count > 1)} of cells that the suite no longer has"


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
    """The records of a suite's current cells, by file name; see `read_suite`."""
    return read_suite(folder).records


def read_suite(folder: Path, cells: Sequence[str] | None = None) -> SuiteRecords:
    """The records of a suite by their folder, current ones apart from superseded ones.

    Current are the `cells` of these keys, as of a suite's file; without them those of the last run.
    Where an older version has kept no account of runs, all are, if groups differ in seeds only.

    Raises:
        UserError: there are none; one is none that this version can read (see `parse_record`); or
            current ones cannot be told from others.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.json"))}
    if not paths:
        raise UserError(f"no records in {folder}; run the suite first, or give --store")
    runs = read_runs(folder)
    current = frozenset(cells or (runs[-1].cells if runs else paths))
    there = [key for key in paths if key in current]
    if not there:
        raise UserError(f"{folder}: no current cell of the suite has a record; run it first")
    records = [_read(paths[key]) for key in there]
    repetitions(records)
    others = tuple(key for key in paths if key not in current)
    missing = len(current) - len(there)
    return SuiteRecords(folder, records, others, missing, runs, of_file=cells is not None)


def _read(path: Path) -> Record:
    return parse_record(read_summed(path), where=str(path))
