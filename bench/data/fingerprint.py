"""The content of a tree of images as one hash, and what is remembered of it from run to run.

A file's hash is remembered by its path, size, and the times of its last change (content and inode).
Where all are as before, the file is not read again: a change that leaves all four as they were goes
unseen here, and is refused when the images are read (`bench.data.manifest`). A file that changed
within the last two seconds is not remembered: a second change might bear the same time.
"""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from bench.data.image_folder import cannot_open, list_images
from bench.files import file_sha256, written_aside

Progress = Callable[[int, int], None]
STAMP = ["path", "size", "mtime_ns", "ctime_ns"]
SETTLED_NS = 2 * 10**9


def fingerprint(
    root: Path | str,
    *,
    memory: Path | None = None,
    remember: bool = True,
    progress: Progress | None = None,
) -> str:
    """sha256 over the relative paths and the bytes of every image file, decodable or not.

    The same tree at another place has the same fingerprint.

    Args:
        root: the tree.
        memory: Parquet file of hashes from earlier calls; None to read every file.
        remember: whether to write new hashes to `memory`, also when interrupted.
        progress: told `(done, total)` after each file that had to be read.

    Raises:
        UserError: the folder is missing, has no images, or holds a file that cannot be opened.
    """
    root = Path(root)
    paths = list_images(root)[1]
    now = time.time_ns()
    files = pd.DataFrame([_stamp(root, path) for path in paths], columns=STAMP)
    known = _nothing() if memory is None else _recalled(memory)
    hashes = files.merge(known, how="left", on=STAMP)["sha256"].astype(object)
    unknown = hashes.index[hashes.isna()]
    try:
        for done, row in enumerate(unknown, start=1):
            hashes[row] = _file_sha256(root / paths[row])
            if progress:
                progress(done, len(unknown))
    finally:
        if memory and remember and len(unknown):
            settled = hashes.notna() & (files["mtime_ns"] < now - SETTLED_NS)
            _write(files.assign(sha256=hashes)[settled], memory)
    return hash_of_tree(hashes, paths)


def hash_of_tree(hashes: Iterable[str], paths: Iterable[str]) -> str:
    """The fingerprint of files, from each one's sha256 and path, in the order of the paths."""
    tree = hashlib.sha256()
    for sha256, path in zip(hashes, paths, strict=True):
        tree.update(f"{sha256} {path}\n".encode())
    return tree.hexdigest()


def _stamp(root: Path, path: str) -> tuple[str, int, int, int]:
    try:
        found = os.stat(root / path)
    except OSError as error:
        raise cannot_open(root / path, error.strerror) from error
    if not stat.S_ISREG(found.st_mode):  # Reading a pipe would wait for ever.
        raise cannot_open(root / path, "not a regular file")
    return path, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _file_sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise cannot_open(path, error.strerror) from error


def _recalled(memory: Path) -> pd.DataFrame:
    """What an earlier call left; nothing where that is missing or damaged."""
    try:
        return pd.read_parquet(memory, columns=[*STAMP, "sha256"])
    except (OSError, ValueError):
        return _nothing()


def _nothing() -> pd.DataFrame:
    types = {"path": "str", **dict.fromkeys(STAMP[1:], "int64"), "sha256": "str"}
    return pd.DataFrame(columns=list(types)).astype(types)


def _write(hashes: pd.DataFrame, memory: Path) -> None:
    """Aside: two runs may do so at once."""
    memory.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(memory) as aside:
        hashes.to_parquet(aside, index=False)
