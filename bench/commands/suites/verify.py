"""`adatok-bench verify`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.support.completion import complete_cells
from bench.commands.support.shared import say, store_option
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.records.record import Record
    from bench.run.verification import Checked, Verification
    from bench.store.store import Store

SHOWN = 4
DIFFERS, CANNOT = 1, 2


@click.command()
@click.argument("record", shell_complete=complete_cells)
@click.option(
    "--deep",
    is_flag=True,
    help="Decode again too: banks are made anew from tokenizer and images.",
)
@store_option
def verify(record: str, deep: bool, store_path: str) -> None:
    """Compute the numbers of a RECORD again.

    RECORD is the path of a record's JSON file, SUITE:ARM, SUITE:LABEL with the label of a cell as
    results shows it, or the key of a cell. Its evaluation, or its samples, are computed again from
    the artifacts in the store, and all metrics, controls and curves held against the record:
    exactly, but for rounding in distances of features (a millionth), which depends on threads.
    What a clock has measured is left out, and named. Trainings are not run again. Nothing is
    written into the store.

    Exits with 0 where all numbers stand, with 1 where any differs, and with 2 where they cannot be
    computed: an artifact, a device or a package is missing, the file was altered, or it is of
    another version.

    \b
    Examples:
      adatok-bench verify quickstart:elastic
      adatok-bench verify 'quickstart:policy: seed 0' --deep
      adatok-bench verify store/records/quickstart/005d80dea0b18b17.json
    """
    from bench.run.verification import verify
    from bench.store.store import Store

    store, codes = Store(Path(store_path).absolute()), {0}
    for one in _records(record, store):
        try:
            found = verify(one, store, deep=deep)
        except UserError as error:
            say(f"error: {error}")
            codes.add(CANNOT)
            continue
        _tell(found)
        codes.add(0 if found.stands else DIFFERS)
    if codes != {0}:
        sys.exit(DIFFERS if DIFFERS in codes else CANNOT)


def _records(name: str, store: Store) -> list[Record]:
    """The records that are meant.

    Raises:
        UserError: there are none, or a file is not as it was written.
    """
    from bench.models.export import find_cells
    from bench.records.record import parse_record
    from bench.store.sums import is_as_written, sum_path

    path = Path(name).expanduser()
    if path.suffix != ".json":
        return find_cells(name, store, say=say)
    if not path.is_file():
        raise UserError(f"{path}: no such record; give a file, SUITE:ARM or a cell's key")
    if not is_as_written(path):
        raise UserError(
            f"{path}: altered since it was written ({sum_path(path).name} has another SHA-256); "
            "run its suite again, which writes it anew"
        )
    if not sum_path(path).is_file():
        say(f"{path}: no {sum_path(path).name} beside it, so alterations are told by numbers alone")
    return [parse_record(path.read_bytes(), where=str(path))]


def _tell(found: Verification) -> None:
    record = found.record
    click.echo(f"{record.suite}: {record.label} ({record.cell_key})")
    for one in found.checked:
        click.echo(f"  {_line(one)}")
    for reason in found.left_out:
        click.echo(f"  left out  {reason}")
    if not found.stands:
        for line in _elsewhere(record):
            click.echo(f"  note      {line}")


def _line(one: Checked) -> str:
    if not one.differing:
        rounded = f", {one.rounded} of them but for rounding" * bool(one.rounded)
        return f"stands    {one.name}: {one.count} value{'s' * (one.count != 1)}{rounded}"
    parts = [f"{path} {ours} recorded, {theirs} computed" for path, ours, theirs in one.differing]
    more = f"; and {len(parts) - SHOWN} more" * (len(parts) > SHOWN)
    return f"differs   {one.name}: {'; '.join(parts[:SHOWN])}{more}"


def _elsewhere(record: Record) -> list[str]:
    """What was another machine or package when the record was made, and may explain differences."""
    from bench.store.provenance import provenance

    then, now = record.provenance, provenance()
    sides = [
        ("platform", then.platform, now["platform"]),
        *((name, version, now["packages"].get(name)) for name, version in then.packages.items()),
    ]
    return [f"{name} was {was}, here {here}" for name, was, here in sides if was != here]
