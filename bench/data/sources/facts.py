"""What is remembered of a source's files: one Parquet file, and a part for what was read since.

A file's rows count as long as its size and times are those of its stamp. What changed within the
last two seconds is not remembered: a second change might bear the same time.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from bench.data.fingerprint import SETTLED_NS
from bench.data.sources.reading import Stamp
from bench.files import written_aside

STAMP = ("place_size", "mtime_ns", "ctime_ns")
SCHEMA = pa.schema(
    {
        "place": pa.string(),
        **dict.fromkeys(STAMP, pa.int64()),
        "name": pa.string(),
        **dict.fromkeys(("offset", "size"), pa.int64()),
        **dict.fromkeys(("sha256", "pixels_sha256"), pa.string()),
        **dict.fromkeys(("width", "height"), pa.int64()),
        "damaged": pa.bool_(),
        **dict.fromkeys(("reason", "label"), pa.string()),
    }
)
WHOLE = "facts.parquet"


def table_of(columns: dict[str, list[Any]], stamps: dict[str, Stamp]) -> pa.Table:
    """Rows by their columns, with the stamps of their places."""
    of_rows = zip(*(stamps[place] for place in columns["place"]), strict=True)
    named = dict(zip(STAMP, map(list, of_rows), strict=True))
    return pa.Table.from_pydict({**columns, **named}, SCHEMA)


class Memory:
    """The facts in a folder, which is made when there is something to remember."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._numbers = itertools.count(time.time_ns())

    def add(self, rows: pa.Table) -> None:
        """Remember rows, so that they are there after a kill."""
        latest = time.time_ns() - SETTLED_NS
        settled = rows.filter(pc.less(rows["mtime_ns"], latest))
        if settled.num_rows:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(settled, self.folder / f"part-{next(self._numbers)}.parquet")

    def recall(self, stamps: dict[str, Stamp]) -> pa.Table:
        """Rows of places that bear the same stamp still."""
        found = [_read(path) for path in self._files()]
        kept = [table for table in found if table is not None]
        if not kept:
            return SCHEMA.empty_table()
        rows = pa.concat_tables(kept).to_pandas()
        wanted = pd.DataFrame(
            [(place, *stamp) for place, stamp in stamps.items()], columns=["place", *STAMP]
        )
        rows = rows.merge(wanted, on=["place", *STAMP]).drop_duplicates(["place", "name"])
        return pa.Table.from_pandas(rows, SCHEMA, preserve_index=False)

    def tidy(self, rows: pa.Table) -> None:
        """Have one file of these rows in place of all parts, unless it is all there is."""
        parts = [path for path in self._files() if path.name != WHOLE]
        if not parts:
            return
        latest = time.time_ns() - SETTLED_NS
        self._write(rows.filter(pc.less(rows["mtime_ns"], latest)), self.folder / WHOLE)
        for path in parts:
            path.unlink(missing_ok=True)

    def _files(self) -> Iterable[Path]:
        return sorted(self.folder.glob("*.parquet"))

    @staticmethod
    def _write(rows: pa.Table, path: Path) -> None:
        with written_aside(path) as aside:  # Two runs may do so at once.
            parquet.write_table(rows, aside, write_page_checksum=True)


def _read(path: Path) -> pa.Table | None:
    """A file of facts; None where it is damaged, or gone meanwhile."""
    with contextlib.suppress(OSError, ValueError):
        table = parquet.read_table(path, page_checksum_verification=True)
        return table if table.schema.equals(SCHEMA) else None
    return None
