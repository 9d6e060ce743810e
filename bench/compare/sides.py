"""The two sides of a comparison: the groups of records that an argument names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError, suggestion
from bench.records.groups import Group, group_by_seed
from bench.records.reading import read_suite
from bench.records.record import Record
from bench.suite.naming import is_suite_file, suite_cells


@dataclass(frozen=True)
class Side:
    """The finished groups of one side, the cells without a result, and the store they lie in.

    `notes` say which records of the suite are left out.
    """

    name: str
    groups: tuple[Group, ...]
    unfinished: tuple[Record, ...]
    store: Path
    notes: tuple[str, ...] = ()

    @property
    def arm(self) -> str | None:
        """The arm that all groups are of; None where they are of several."""
        arms = {group.records[0].arm for group in self.groups}
        return arms.pop() if len(arms) == 1 else None


def read_side(text: str, store: Path) -> Side:
    """The side that `text` names.

    A suite, by name or file; a folder of records; or `SUITE:NAME` with the name of an arm or the
    label of a group. Suites have their records in the `store`.

    Raises:
        UserError: no such suite, folder, arm or group; no records, or none with a result; a record
            of a newer schema, or one that is not whole.
    """
    name, selector = text, None
    there = _folder(text, store)
    if there is None and ":" in text:
        name, selector = text.split(":", 1)
        there = _folder(name, store)
    if there is None:
        known = sorted(path.name for path in (store / "records").glob("*"))
        raise UserError(
            f"{text}: no suite '{name}' has records in {store}, and it is no folder"
            f"{suggestion(name, known)}"
        )
    folder, cells = there
    found = read_suite(folder, cells)
    records = found.records
    if selector is not None:
        records = _selected(records, selector.strip(), where=text)
    done = [record for record in records if record.done]
    if done and all(record.kind == "throughput" for record in done):
        raise UserError(f"{text}: holds throughput alone, which `results` shows; name other cells")
    done = [record for record in done if record.kind != "throughput"]
    if not done:
        error = records[0].error or "it was not run"
        raise UserError(f"{text}: no cell has a result ({error}); run the suite again")
    of_store = folder.absolute().parent.name == "records"
    return Side(
        text,
        tuple(group_by_seed(done)),
        tuple(record for record in records if not record.done),
        folder.absolute().parent.parent if of_store else store,
        found.notes,
    )


def _folder(name: str, store: Path) -> tuple[Path, tuple[str, ...] | None] | None:
    """The folder of records, and the keys of the cells that a suite's file has."""
    if is_suite_file(name):
        suite, cells = suite_cells(name, store)
        return store / "records" / suite, cells
    folders = (store / "records" / name, Path(name)) if name else ()
    return next(((folder, None) for folder in folders if folder.is_dir()), None)


def _selected(records: list[Record], name: str, *, where: str) -> list[Record]:
    for found in (
        [record for record in records if record.arm == name],
        [record for record in records if record.group == name],
    ):
        if found:
            return found
    known = sorted({key for record in records for key in (record.arm, record.group)})
    raise UserError(f"{where}: no arm or group is called '{name}'{suggestion(name, known)}")
