"""Where the images of a source lie: the files of a folder, or tar shards named by patterns."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.image_folder import AS_FOUND, Listing, SplitFolders, list_images
from bench.errors import UserError
from bench.files import content_key

MOST_SHARDS = 1_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(frozen=True)
class FolderSource:
    """An image folder whose files are read as they are."""

    root: str
    folders: SplitFolders = AS_FOUND

    @property
    def where(self) -> str:
        """For messages."""
        return f"image folder {self.root}"

    @property
    def name(self) -> str:
        """Identity of the place, which is none of the content."""
        return content_key(["image_folder", os.path.abspath(self.root), repr(self.folders)])

    def listing(self) -> Listing:
        """The images; raises UserError as `list_images` does."""
        return list_images(Path(self.root), self.folders)


@dataclass(frozen=True)
class ShardSource:
    """Tar shards by patterns; without any for validation, the content divides the images.

    `classes` is a file of names, one a line, for classes that are numbers.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    classes: str | None = None

    @property
    def where(self) -> str:
        """For messages."""
        return f"webdataset {self.train[0]}"

    @property
    def name(self) -> str:
        """Identity of the place, which is none of the content."""
        given = [[os.path.abspath(one) for one in part] for part in (self.train, self.validation)]
        return content_key(["webdataset", *given, self.classes])

    def shards(self) -> dict[str, str]:
        """Path of every shard -> its split, empty where content decides.

        Raises:
            UserError: a pattern names no file, or a shard is named for both splits.
        """
        train = expand(self.train, key="data.train")
        validation = expand(self.validation, key="data.validation")
        both = sorted({*train} & {*validation})
        if both:
            raise UserError(f"data.validation: names {both[0]}, which is a shard to train on too")
        own = "train" if validation else ""
        return dict.fromkeys(train, own) | dict.fromkeys(validation, "validation")

    def class_names(self) -> list[str] | None:
        """Names of the classes by their number; None where there is no file of them.

        Raises:
            UserError: it cannot be read, or has an empty line or a name twice.
        """
        if self.classes is None:
            return None
        path = Path(os.path.expanduser(self.classes))
        try:
            names = path.read_text("utf-8").splitlines()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "is not UTF-8"
            raise UserError(f"data.classes: cannot read {path}: {reason}") from None
        if not names or "" in names or len({*names}) < len(names):
            raise UserError(f"data.classes: {path}: give every class one line, and no line twice")
        return names


ImageSource = FolderSource | ShardSource


def source_of(settings: dict[str, Any]) -> ImageSource:
    """The source of a stage's runtime settings: `path` of a folder, or patterns of shards."""
    if "path" in settings:
        return FolderSource(settings["path"], SplitFolders.of(settings))
    return ShardSource(
        tuple(settings["train"]), tuple(settings.get("validation", ())), settings.get("classes")
    )


def told(source: ImageSource) -> list[str]:
    """Lines on what a source holds, as far as it is known without reading.

    Raises:
        UserError: it cannot be listed.
    """
    if isinstance(source, FolderSource):
        return source.listing().told()
    splits = list(source.shards().values())
    source.class_names()
    how = {"": "divided by content", "train": "to train", "validation": "to validate"}
    counts = [f"{splits.count(one)} {words}" for one, words in how.items() if one in splits]
    return [f"{source.where}: shards {', '.join(counts)}"]


def expand(patterns: Sequence[str], *, key: str) -> list[str]:
    """Absolute paths that patterns name, sorted: `{0000..0146}`, `{a,b}`, `*`, `?`, `[0-9]`.

    Raises:
        UserError: one is no local path, or names nothing that is there.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        if re.match(r"[a-z][a-z0-9+]*:", pattern):
            raise UserError(
                f"{key}: {pattern} is no path; shards are read from a disk or a mounted store"
            )
        path = os.path.expanduser(pattern)
        for one in [path] if os.path.isfile(path) else itertools.islice(_braces(path), MOST_SHARDS):
            named = sorted(glob.glob(one)) if glob.has_magic(one) else [one]
            missing = [name for name in named if not os.path.isfile(name)]
            if missing or not named:
                raise UserError(f"{key}: {(missing or [one])[0]}: no such file; correct {pattern}")
            found |= dict.fromkeys(os.path.abspath(name) for name in named)
    return sorted(found)


def _braces(pattern: str) -> Iterator[str]:
    """The pattern with every pair of braces replaced by each of its alternatives."""
    match = _BRACES.search(pattern)
    if match is None:
        yield pattern
        return
    span = _RANGE.fullmatch(match[1])
    alternatives: Iterable[str] = match[1].split(",")
    if span:
        width = len(span[1]) if span[1].startswith("0") or len(span[1]) == len(span[2]) else 0
        alternatives = (f"{n:0{width}d}" for n in range(int(span[1]), int(span[2]) + 1))
    for one in alternatives:
        yield from _braces(pattern[: match.start()] + one + pattern[match.end() :])
