"""The content of a tree of images as one hash, and what is remembered of it from run to run.

A file's hash is remembered by its path, size, and the times of its last change (content and inode).
Where all are as before, the file is not read again: a change that leaves all four as they were goes
unseen here, and is refused when the images are read (`bench.data.manifest`). A file that changed
within the last two seconds is not remembered: a second change might bear the same time.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from bench.data.decoding import read_otherwise
from bench.data.image_folder import AS_FOUND, SplitFolders, list_images
from bench.data.walk import cannot_open
from bench.files import open_regular, written_aside

Progress = Callable[[int, int], None]
Stamp = tuple[str, int, int, int]
STAMP = ("path", "size", "mtime_ns", "ctime_ns")
SETTLED_NS = 2 * 10**9


def fingerprint(
    root: Path | str,
    folders: SplitFolders = AS_FOUND,
    *,
    memory: Path | None = None,
    remember: bool = True,
    progress: Progress | None = None,
) -> str:
    """sha256 over the relative paths and the bytes of every image file, decodable or not.

    The same tree at another place has the same fingerprint. Where splits or pixels are read
    otherwise than the first version read them, so that stages must not be shared, a mark goes in.

    Args:
        root: the tree.
        folders: which of its folders are splits, where a configuration says so.
        memory: Parquet file of hashes from earlier calls; None to read every file.
        remember: whether to write new hashes to `memory`, also when interrupted.
        progress: told `(done, total)` after each file that had to be read.

    Raises:
        UserError: `list_images` refuses the folder, or it holds a file that cannot be opened.
    """
    root = Path(root)
    listing = list_images(root, folders)
    paths = listing.paths
    now = time.time_ns()
    stamps = [_stamp(root, path) for path in paths]
    known = {} if memory is None else _recalled(memory)
    hashes = {stamp: known[stamp] for stamp in stamps if stamp in known}
    unknown = [stamp for stamp in stamps if stamp not in hashes]
    try:
        for done, stamp in enumerate(unknown, start=1):
            hashes[stamp] = _content_of(root / stamp[0])
            if progress:
                progress(done, len(unknown))
    finally:
        if memory and remember and unknown:
            _remember(memory, {s: hashes[s] for s in hashes if s[2] < now - SETTLED_NS})
    return hash_of_tree(map(hashes.__getitem__, stamps), paths, listing.mark)


def hash_of_tree(contents: Iterable[str], paths: Iterable[str], mark: str) -> str:
    """The fingerprint of files, from each one's content and path, in the order of the paths."""
    tree = hashlib.sha256(mark.encode())
    for content, path in zip(contents, paths, strict=True):
        tree.update(f"{content} {path}\n".encode())
    return tree.hexdigest()


def content_of(file: BinaryIO, sha256: str) -> str:
    """The name of a file's content in a fingerprint: its sha256, marked where `read_otherwise`."""
    file.seek(0)
    return f"{sha256}:2" if read_otherwise(file) else sha256


def _stamp(root: Path, path: str) -> Stamp:
    try:
        found = os.stat(root / path)
    except OSError as error:
        raise cannot_open(root / path, error.strerror) from error
    return path, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _content_of(path: Path) -> str:
    try:
        with open_regular(path) as file:
            return content_of(file, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise cannot_open(path, error.strerror) from error


def _recalled(memory: Path) -> dict[Stamp, str]:
    """Hashes that an earlier call left; nothing where that is missing or damaged."""
    try:
        return _remembered(memory)
    except (OSError, ValueError):
        return {}


def is_readable(memory: Path) -> bool:
    """Whether a file of hashes is as it was written."""
    try:
        _remembered(memory)
    except (OSError, ValueError):
        return False
    return True


def _remembered(memory: Path) -> dict[Stamp, str]:
    from pyarrow import parquet  # It takes long to import, and suites without folders need it not.

    columns = [*STAMP, "content"]
    table = parquet.read_table(memory, columns=columns, page_checksum_verification=True)
    values = [table[name].to_pylist() for name in columns]
    return dict(zip(zip(*values[:-1], strict=True), values[-1], strict=True))


def _remember(memory: Path, hashes: dict[Stamp, str]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    rows = [dict(zip(STAMP, stamp, strict=True), content=hashes[stamp]) for stamp in hashes]
    types = {"path": pa.string(), **dict.fromkeys(STAMP[1:], pa.int64()), "content": pa.string()}
    memory.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(memory) as aside:  # Two runs may do so at once.
        table = pa.Table.from_pylist(rows, pa.schema(types))
        parquet.write_table(table, aside, write_page_checksum=True)
