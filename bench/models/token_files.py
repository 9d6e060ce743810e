"""Files of tokens: one Parquet row per image, and in the schema's metadata the model they are of.

path          of the image, relative to its folder, POSIX
sha256        of the pixels that were encoded, as banks and image sets have it
file_sha256   of the image's file
budget        tokens kept, int32
tokens        their ids, list<int32>, or list<int64> above 2^31 codes
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from bench.data.manifest import UnreadableFile
from bench.errors import UserError
from bench.files import written_aside

METADATA = b"adatok_bench"
FORMAT = 1
ROWS = 1024  # of a row group: what is in memory at a time


@dataclass(frozen=True, kw_only=True)
class TokenSource:
    """The origin of tokens: without these values they mean nothing.

    `budget` is the one that all images got, None where the policy chose.
    """

    tokenizer_sha256: str
    policy_sha256: str | None
    codebook_size: int
    max_tokens: int
    resolution: int
    budget: int | None


@dataclass(frozen=True)
class Row:
    """One image's tokens."""

    path: str
    sha256: str
    file_sha256: str
    tokens: Sequence[int]

    @property
    def budget(self) -> int:
        """How many there are."""
        return len(self.tokens)


class TokenWriter:
    """Writes rows, and at the end the files that could not be read."""

    def __init__(self, path: Path, source: TokenSource):
        ids = pa.int32() if source.codebook_size <= 2**31 else pa.int64()
        self.schema = pa.schema(
            {
                "path": pa.string(),
                "sha256": pa.string(),
                "file_sha256": pa.string(),
                "budget": pa.int32(),
                "tokens": pa.list_(ids),
            }
        )
        self._about = {"format": FORMAT, **asdict(source)}
        self._writer = parquet.ParquetWriter(path, self.schema)
        self._rows: list[Row] = []

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows; they reach the disk by row groups."""
        self._rows += rows
        while len(self._rows) >= ROWS:
            self._flush()

    def close(self, unreadable: Sequence[UnreadableFile] = ()) -> None:
        """Write what is left, and the metadata."""
        if self._rows:
            self._flush()
        about = {**self._about, "unreadable": [asdict(file) for file in unreadable]}
        self._writer.add_key_value_metadata({METADATA: json.dumps(about).encode()})
        self._writer.close()

    def abandon(self) -> None:
        """Let go of the file, whole or not."""
        self._writer.close()

    def _flush(self) -> None:
        rows, self._rows = self._rows[:ROWS], self._rows[ROWS:]
        columns = {name: [getattr(row, name) for row in rows] for name in self.schema.names}
        self._writer.write_table(pa.table(columns, schema=self.schema))


@contextmanager
def new_token_file(path: Path, source: TokenSource) -> Iterator[TokenWriter]:
    """Writes aside; there is a file at `path` only once all is written.

    Raises:
        UserError: there is something at `path`, or it cannot be written.
    """
    if path.exists() or path.is_symlink():
        raise UserError(f"--out {path}: is there already; name a new file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as aside:
            writer = TokenWriter(aside, source)
            try:
                yield writer
            finally:
                writer.abandon()
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give another --out") from error


@dataclass(frozen=True)
class TokenFile:
    """A file of tokens at `path`; rows are read a group at a time."""

    path: Path
    source: TokenSource
    count: int

    @staticmethod
    def open(path: Path) -> TokenFile:
        """Raises UserError where it is no file of tokens, or of a newer program."""
        try:
            file = parquet.ParquetFile(path)
            about: dict[str, Any] = json.loads((file.metadata.metadata or {})[METADATA])
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; make it with: adatok-bench encode") from None
        except (OSError, ValueError, KeyError):
            raise UserError(
                f"{path}: is no file of tokens; make one with: adatok-bench encode"
            ) from None
        if about.pop("format") > FORMAT:
            raise UserError(f"{path}: written by a newer adatok-bench; update this one to read it")
        del about["unreadable"]
        return TokenFile(path, TokenSource(**about), file.metadata.num_rows)

    def rows(self) -> Iterator[Row]:
        """All rows in order."""
        names = ["path", "sha256", "file_sha256", "tokens"]
        for part in parquet.ParquetFile(self.path).iter_batches(ROWS, columns=names):
            for row in part.to_pylist():
                yield Row(**row)

    def check(self) -> None:
        """Refuse what no encoder has written: to be called before anything is made of the rows.

        Raises:
            UserError: a budget or an id is out of range, or a path leads out of its folder or is
                given twice; names the image.
        """
        paths = set()
        budgets = parquet.ParquetFile(self.path).iter_batches(ROWS, columns=["budget"])
        stated = (value for part in budgets for value in part.column("budget").to_pylist())
        for row, budget in zip(self.rows(), stated, strict=True):
            self._check(row, budget)
            if row.path in paths:
                raise UserError(f"{self.path}: {row.path}: is there twice; encode the folder again")
            paths.add(row.path)

    def _check(self, row: Row, budget: int) -> None:
        problem = None
        if not 1 <= budget <= self.source.max_tokens:
            problem = f"its budget {budget} is outside 1..{self.source.max_tokens}"
        elif row.tokens is None or len(row.tokens) != budget:
            problem = f"has {len(row.tokens or ())} tokens, but a budget of {budget}"
        elif not 0 <= min(row.tokens) <= max(row.tokens) < self.source.codebook_size:
            problem = f"has ids outside 0..{self.source.codebook_size - 1}"
        elif not _is_inside(row.path):
            problem = "the path leads out of the folder"
        if problem:
            raise UserError(f"{self.path}: {row.path}: {problem}; encode the folder again")


def _is_inside(path: str) -> bool:
    """Whether a path names a file below the folder that it is relative to."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path


def png_names(paths: Sequence[str]) -> list[str]:
    """Paths with the suffix `.png`; it is added to the old one where it would make two the same.

    Raises:
        UserError: there are two the same all the same.
    """
    plain = [str(PurePosixPath(path).with_suffix(".png")) for path in paths]
    claimed = Counter(plain)
    names = [
        name if claimed[name] == 1 or name == path else f"{path}.png"
        for name, path in zip(plain, paths, strict=True)
    ]
    for name, count in Counter(names).items():
        if count > 1:
            raise UserError(f"{name}: is what two images would be called; rename one of them")
    return names
