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
import pyarrow.compute as compute
import pyarrow.parquet as parquet

from bench.config.settings import parse
from bench.data.manifest import UnreadableFile
from bench.errors import UserError
from bench.files import open_regular, told, written_aside

METADATA = b"adatok_bench"
FORMAT = 1
ROWS = 1024  # of a row group: what is in memory at a time
TEXTS = ("path", "sha256", "file_sha256")
LONGEST_PATH, LONGEST_NAME = 4000, 251  # bytes; a name gets a suffix when it is decoded
AGAIN = "encode the folder again"


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

    def __post_init__(self) -> None:
        for key in ("codebook_size", "max_tokens", "resolution"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}: must be 1 or more")
        if self.budget is not None and not 1 <= self.budget <= self.max_tokens:
            raise ValueError(f"budget: must lie in 1..{self.max_tokens}, or be null")

    @property
    def columns(self) -> dict[str, pa.DataType]:
        """Columns of a file of such tokens by name."""
        ids = pa.int32() if self.codebook_size <= 2**31 else pa.int64()
        return {**dict.fromkeys(TEXTS, pa.string()), "budget": pa.int32(), "tokens": pa.list_(ids)}


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
        self.schema = pa.schema(source.columns)
        self._about = {"format": FORMAT, **asdict(source)}
        self._writer = parquet.ParquetWriter(path, self.schema)
        self._rows: list[Row] = []

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows; they reach the disk by row groups."""
        self._rows += rows
        while len(self._rows) >= ROWS:
            self._flush()

    def close(
        self,
        unreadable: Sequence[UnreadableFile] = (),
        selection: dict[str, Any] | None = None,
    ) -> None:
        """Write what is left, and the metadata: `selection` is what was taken of the images."""
        if self._rows:
            self._flush()
        about = {**self._about, "unreadable": [asdict(file) for file in unreadable]}
        if selection:
            about["selection"] = selection
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
        raise UserError(f"cannot write {path}: {told(error)}; give another --out") from error


@dataclass(frozen=True)
class TokenFile:
    """A file of tokens at `path`; rows are read a group at a time."""

    path: Path
    source: TokenSource
    count: int

    @staticmethod
    def open(path: Path) -> TokenFile:
        """A file all of whose rows are such as an encoder writes.

        Raises:
            UserError: it is no file of tokens, of a newer program, or damaged; or a value is
                missing, a budget or an id is out of range, or a path leads out of its folder,
                cannot be written or is given twice; names the image.
        """
        try:
            open_regular(path).close()
            file = parquet.ParquetFile(path)
            about = json.loads((file.metadata.metadata or {})[METADATA])
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; make it with: adatok-bench encode") from None
        except (OSError, ValueError, KeyError, RecursionError, pa.ArrowException):
            raise UserError(
                f"{path}: is no file of tokens; make one with: adatok-bench encode"
            ) from None
        if not isinstance(about, dict) or type(about.get("format")) is not int:
            raise UserError(f"{path}: format: missing, or no number; {AGAIN}")
        if about.pop("format") > FORMAT:
            raise UserError(f"{path}: written by a newer adatok-bench; update this one to read it")
        for key in ("unreadable", "selection"):
            about.pop(key, None)
        source = parse(TokenSource, about, where=str(path))
        _check_columns(file, source, path)
        opened = TokenFile(path, source, file.metadata.num_rows)
        opened._check_rows()
        return opened

    def rows(self) -> Iterator[Row]:
        """All rows in order."""
        return (Row(**row) for row, _ in self._read())

    def _read(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Rows, and the budget that is stated with each.

        Raises:
            UserError: a text is longer than any path, or the file is damaged.
        """
        try:
            # As dictionaries, texts that are long and many take no more memory than in the file.
            file = parquet.ParquetFile(self.path, read_dictionary=[*TEXTS])
            for part in file.iter_batches(ROWS, columns=[*self.source.columns]):
                longest = [_longest(part.column(name).dictionary) for name in TEXTS]
                if max(longest) > LONGEST_PATH:
                    raise UserError(f"{self.path}: has a path of {max(longest)} bytes; {AGAIN}")
                for row in part.to_pylist():
                    yield row, row.pop("budget")
        except (OSError, ValueError, pa.ArrowException) as error:
            raise UserError(f"{self.path}: is damaged ({error}); {AGAIN}") from None

    def _check_rows(self) -> None:
        paths = set()
        for number, (row, budget) in enumerate(self._read()):
            empty = [name for name, value in {**row, "budget": budget}.items() if value is None]
            if empty:
                raise UserError(f"{self.path}: row {number}: {empty[0]}: is null; {AGAIN}")
            self._check(Row(**row), budget)
            if row["path"] in paths:
                raise UserError(f"{self.path}: {row['path']}: is there twice; {AGAIN}")
            paths.add(row["path"])

    def _check(self, row: Row, budget: int) -> None:
        problem = _unfit(row.path)
        if not 1 <= budget <= self.source.max_tokens:
            problem = f"its budget {budget} is outside 1..{self.source.max_tokens}"
        elif len(row.tokens) != budget:
            problem = f"has {len(row.tokens)} tokens, but a budget of {budget}"
        elif None in row.tokens:
            problem = "a token is null"
        elif not 0 <= min(row.tokens) <= max(row.tokens) < self.source.codebook_size:
            problem = f"has ids outside 0..{self.source.codebook_size - 1}"
        if problem:
            raise UserError(f"{self.path}: {row.path}: {problem}; {AGAIN}")


def _check_columns(file: parquet.ParquetFile, source: TokenSource, path: Path) -> None:
    """Refuse other columns than an encoder writes, and more tokens than rows could have."""
    for name, kind in source.columns.items():
        found = file.schema_arrow.field(name).type if name in file.schema_arrow.names else None
        if found != kind:
            has = "is missing" if found is None else f"is {found}, not {kind}"
            raise UserError(f"{path}: column {name}: {has}; {AGAIN}")
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        values = max(group.column(n).num_values for n in range(group.num_columns))
        if values > group.num_rows * source.max_tokens:
            raise UserError(f"{path}: {values} tokens in {group.num_rows} rows; {AGAIN}")


def _longest(texts: pa.Array) -> int:
    """Bytes of the longest of these texts."""
    return compute.max(compute.binary_length(texts)).as_py() or 0


def _unfit(path: str) -> str | None:
    """Why an image cannot be written below a folder under this path."""
    parts = PurePosixPath(path).parts
    if "\\" in path:
        return "a backslash cannot be written back"
    if not parts or path.startswith("/") or ".." in parts:
        return "the path leads out of the folder"
    if str(PurePosixPath(path)) != path or "\0" in path:
        return "is no path that a folder lists"
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return "the name is not UTF-8"
    if max(sizes) > LONGEST_NAME or len(path.encode()) > LONGEST_PATH:
        return f"a name above {LONGEST_NAME} bytes gets no suffix .png"
    return None


def png_names(paths: Sequence[str]) -> list[str]:
    """Paths with the suffix `.png`; it is added to the old one where it would make two the same.

    A folder's name is taken too.

    Raises:
        UserError: there are two the same all the same.
    """
    plain = [str(PurePosixPath(path).with_suffix(".png")) for path in paths]
    folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    claimed = Counter([*plain, *folders])
    names = [
        name if claimed[name] == 1 or name == path else f"{path}.png"
        for name, path in zip(plain, paths, strict=True)
    ]
    for name, count in Counter([*names, *folders]).items():
        if count > 1:
            raise UserError(f"{name}: is what two images would be called; rename one of them")
    return names


def require_decodable(paths: Sequence[str]) -> None:
    """Refuse paths of images that would be refused when their tokens are decoded.

    Raises:
        UserError: two images would have the same name, or a name cannot be written.
    """
    for path in paths:
        problem = _unfit(path)
        if problem:
            raise UserError(f"{path}: {problem}; rename the file")
    png_names(paths)
