"""The pass over a source: listed, checked and hashed in one reading, which resumes, by workers.

The digest of what is found is over names, hashes of bytes, classes and splits in a canonical order:
a folder and the shards that are made of it have the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.data.sources.facts import SCHEMA, Memory, table_of
from bench.data.sources.places import FolderSource, ImageSource, ShardSource
from bench.data.sources.reading import Stamp, Task, stamp_of
from bench.data.sources.tar import key_of
from bench.data.sources.workers import read_all
from bench.errors import UserError

# As much of a folder is read again after a kill, by each worker; of shards, one.
FILES_OF_A_TASK = 128

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Survey:
    """All that is known of a source's images.

    images: one row per image, by split and name: those of `bench.data.sources.reading.Row`, and
        `split` (empty where content decides), `label_name` and `label` (-1 where unreadable).
    foreign, ignored: as a `Listing` has them.
    """

    source: ImageSource
    images: pd.DataFrame
    foreign: tuple[str, ...] = ()
    ignored: dict[str, int] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """sha256 over name, bytes, class and split of every image, readable or not."""
        of_all = hashlib.sha256(b"images 1\n")
        columns = ("sha256", "label", "label_name", "split", "name")
        for sha256, label, *names in zip(*(self.images[one] for one in columns), strict=True):
            of_all.update(f"{sha256} {label} {names}\n".encode())
        return of_all.hexdigest()

    @property
    def readable(self) -> pd.DataFrame:
        """The images that have pixels, renumbered."""
        return self.images[self.images["reason"] == ""].reset_index(drop=True)


def survey(
    source: ImageSource,
    *,
    resolution: int,
    memory: Path | None = None,
    remember: bool = True,
    workers: int = 1,
    progress: Progress | None = None,
) -> Survey:
    """List a source, and read what is not remembered of it, each file once.

    Args:
        source: where the images are.
        resolution: side in px of the pixels that are hashed.
        memory: folder of what earlier calls have read; None to read every file.
        remember: whether to write there what is read, also when interrupted.
        workers: processes that read.
        progress: told `(done, total)` files or shards after some that had to be read.

    Raises:
        UserError: the source cannot be listed or read, changes meanwhile, or holds a name twice in
            a split, or classes for some images only.
    """
    if isinstance(source, FolderSource):
        listing = source.listing()
        splits = {path: listing.split_of(path) for path in listing.paths}
        classes = [listing.class_of(path) for path in listing.paths]
        root: str | None = source.root
        tasks_of = FILES_OF_A_TASK
        foreign, ignored = tuple(listing.foreign), listing.ignored
    else:
        splits, root, tasks_of = source.shards(), None, 1
        foreign, ignored = (), {}
    stamps = {place: stamp_of(Path(root or "", place)) for place in splits}
    rows = _rows(stamps, root, resolution, tasks_of, memory, remember, workers, progress)
    images = rows.to_pandas()
    images["split"] = images["place"].map(splits)
    if isinstance(source, FolderSource):
        images["label_name"] = images["place"].map(dict(zip(splits, classes, strict=True)))
    else:
        _require_unique(images)
        images["label_name"] = _label_names(source, images)
    images["label"] = _numbers(images)
    order = sorted(
        range(len(images)),
        key=list(zip(images["split"], images["name"], strict=True)).__getitem__,
    )
    return Survey(source, images.iloc[order].reset_index(drop=True), foreign, ignored)


def _rows(
    stamps: dict[str, Stamp],
    root: str | None,
    resolution: int,
    tasks_of: int,
    memory: Path | None,
    remember: bool,
    workers: int,
    progress: Progress | None,
) -> pa.Table:
    """Rows of all places, remembered or read now."""
    facts = Memory(memory) if memory else None
    known = facts.recall(stamps) if facts else SCHEMA.empty_table()
    there = set(known["place"].to_pylist())
    missing = [(place, stamp) for place, stamp in stamps.items() if place not in there]
    tasks: list[Task] = [
        Task(root=root, places=missing[first : first + tasks_of], resolution=resolution)
        for first in range(0, len(missing), tasks_of)
    ]
    read, done = [known], 0
    for task, columns in read_all(tasks, workers=workers):
        read.append(table_of(columns, stamps))
        if facts and remember:
            facts.add(read[-1])
        done += len(task["places"])
        if progress:
            progress(done, len(missing))
    rows = pa.concat_tables(read).combine_chunks()
    if facts and remember:
        facts.tidy(rows)
    return rows


def _require_unique(images: pd.DataFrame) -> None:
    """Refuse a key that two shards of a split have; within one it has been refused already."""
    keys = pd.DataFrame({"split": images["split"], "key": [key_of(n)[0] for n in images["name"]]})
    twice = keys.duplicated(keep=False)
    if twice.any():
        first, second = images[twice & (keys["key"] == keys["key"][twice].iloc[0])][:2]["place"]
        raise UserError(
            f"webdataset: the key {keys['key'][twice].iloc[0]!r} is in {first} and in {second}; "
            "give every image of a split its own"
        )


def _label_names(source: ShardSource, images: pd.DataFrame) -> list[str]:
    """Names of the classes of shards: by number from the file of names, else as they are."""
    names, texts = source.class_names(), images["label"]
    without = texts == ""
    if without.any() and not without.all():
        place = images["place"][without].iloc[0]
        raise UserError(f"shard {place}: its images have no .cls, and those of others have; add it")
    if without.all():
        if names is not None:
            raise UserError(
                f"data.classes: the images of {source.where} have no .cls; leave it out"
            )
        return ["."] * len(images)
    if names is None:
        return list(texts)
    wrong = [text for text in texts.unique() if not (text.isdecimal() and int(text) < len(names))]
    if wrong:
        place = images["place"][texts == wrong[0]].iloc[0]
        raise UserError(
            f"shard {place}: the class {wrong[0]!r} is no number below {len(names)}, the lines of "
            f"{source.classes}; correct data.classes"
        )
    return [names[int(text)] for text in texts]


def _numbers(images: pd.DataFrame) -> np.ndarray:
    """Number of each image's class, -1 where it is unreadable.

    Where all classes are given as numbers, these; else the place among the sorted names.
    """
    readable = (images["reason"] == "").to_numpy()
    texts = images["label"]
    if len(images) and texts.map(str.isdecimal).all():
        found = texts.map(int)
    else:
        names = sorted(set(images["label_name"][readable]))
        found = images["label_name"].map({name: number for number, name in enumerate(names)})
    return np.where(readable, found.fillna(-1), -1).astype(np.int64)
