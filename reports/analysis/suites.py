"""The records of the suites that a report is about, in order, and apart by their protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UserError, suggestion
from bench.records.reading import read_suite
from bench.suite.naming import suite_cells
from reports.analysis.groups import Record, is_allocation, reconstructions, with_results
from reports.analysis.names import natural


@dataclass(frozen=True)
class Part:
    """Records of one suite that may stand in one table; `notes` say what is missing or apart.

    `name` is the suite's, with the protocol where its cells have several; it names the folders.
    """

    name: str
    suite: str
    question: str
    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()

    @property
    def done(self) -> list[Record]:
        """Records with a result."""
        return with_results(self.records)

    @property
    def unfinished(self) -> list[Record]:
        """Records of cells that failed or have not run; those stopped early are by intention."""
        return [record for record in self.records if not (record.done or record.stopped)]

    @property
    def stopped(self) -> int:
        """How many cells have no result as their tokenizer's training was stopped early."""
        return sum(record.stopped for record in self.records)

    @property
    def protocol_hash(self) -> str | None:
        """Of the cells that reconstruct images, else of those that generate; None without any."""
        hashes = [r.protocol_hash for r in (*reconstructions(self.done), *self.done)]
        return next(filter(None, hashes), None)


def read_parts(names: Sequence[str], store: Path) -> list[Part]:
    """The parts of all suites, named or given as YAML files; those of one protocol side by side.

    They are the cells of a suite's last run, or those of the file, in the file's order. Other
    records are left out, and the notes say so.

    Raises:
        UserError: a suite is named twice or has no records, or one of them cannot be read.
    """
    parts: list[Part] = []
    for text in names:
        found = _read_suite(text, store)
        if found[0].suite in [part.suite for part in parts]:
            raise UserError(f"{text}: suite '{found[0].suite}' is named twice; name it once")
        parts += found
    hashes = list(dict.fromkeys(part.protocol_hash for part in parts))
    return sorted(parts, key=lambda part: hashes.index(part.protocol_hash))


def _read_suite(text: str, store: Path) -> list[Part]:
    name, cells = suite_cells(text, store)
    folder = store / "records" / name
    if not folder.is_dir():
        known = sorted(path.name for path in (store / "records").glob("*"))
        raise UserError(
            f"{text}: suite '{name}' has no records in {store}; run it first, or give --store"
            f"{suggestion(name, known)}"
        )
    found = read_suite(folder, cells)
    records = sorted(found.records, key=_order)
    if cells is not None:
        places = {key: place for place, key in enumerate(cells)}
        records.sort(key=lambda record: places[record.cell_key])
    return _apart(name, records, found.notes)


def _order(record: Record) -> Any:
    """Reference arm first, tokenizers before allocations, then by label, numbers as numbers."""
    return record.arm != record.reference_arm, is_allocation(record), natural(record.label)


def _apart(name: str, records: list[Record], notes: tuple[str, ...]) -> list[Part]:
    """One part per protocol of the reconstructions; all other records go with the first."""
    question = records[0].question
    known = reconstructions(with_results(records))
    of_cell = {record.cell_key: record.protocol_hash for record in known}
    hashes = list(dict.fromkeys(of_cell.values()))
    if len(hashes) < 2:
        return [Part(name, name, question, tuple(records), notes)]
    about = f"cells of this suite have {len(hashes)} protocols and are shown apart"
    parts = []
    for place, one in enumerate(hashes):
        members = tuple(
            record for record in records if of_cell.get(record.cell_key, hashes[0]) == one
        )
        part_notes = (about, *notes) if place == 0 else (about,)
        parts.append(Part(f"{name}-{one[:8]}", name, question, members, part_notes))
    return parts
