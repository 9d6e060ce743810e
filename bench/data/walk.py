"""Walking a tree of images: which files are images, and how many others there are.

- An image is a file with an image's content or suffix. A file whose suffix is that of a format
  which is not read is named; other files are counted.
- What is hidden (`.name`, `__MACOSX`, `Thumbs.db` ...) is counted, and not looked into.
- Linked folders are followed; those that lie out of the tree, and circles, are counted.
- FIFOs, devices, sockets and broken links are counted, and never opened; one with the suffix of an
  image stops the walk.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.formats import FOREIGN_SUFFIXES, HEADER_BYTES, SUFFIXES, format_of
from bench.errors import UserError
from bench.files import open_regular

HIDDEN = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN", "lost+found"})
# Links across a tree may multiply its folders without end.
MOST_REPEATED_FOLDERS = 1000

FolderId = tuple[int, int]  # device and inode, which all links to a folder share


@dataclass
class Walk:
    """Images and other things in one or more folders below `root`; paths are relative and POSIX.

    paths: images, as they were met.
    foreign: files that are images by their name, of formats that are not read.
    ignored: how many other things there are, by what they are.
    linked: how many linked folders lie out of the tree.
    lenient: whether an image that cannot be opened is counted, instead of refused.
    """

    root: Path
    lenient: bool = False
    paths: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    linked: int = 0

    def add(self, start: str) -> None:
        """Walk the folder `start` ("" or ending in a slash).

        Raises UserError when a folder cannot be listed, an image is not a file that is there, or
        links repeat more than `MOST_REPEATED_FOLDERS` folders.
        """
        root = _folder_id(self.root)
        pending = [(start, self._real_parents(start))]
        seen: set[FolderId] = set()
        repeated = 0
        while pending:
            inner, above = pending.pop()
            folder = _folder_id(self.root / inner)
            if folder in above:
                self.ignored["links in a circle"] += 1
                continue
            repeated += folder in seen
            if repeated > MOST_REPEATED_FOLDERS:
                raise UserError(
                    f"{self.root}: links lead to the same folders more than "
                    f"{MOST_REPEATED_FOLDERS} times, as in {inner}; remove them"
                )
            seen.add(folder)
            for name, is_link in self._folders(inner):
                below = f"{inner}{name}/"
                parents = self._real_parents(below) if is_link else frozenset()
                self.linked += is_link and root not in parents
                pending.append((below, above | parents | {folder}))

    def _real_parents(self, inner: str) -> frozenset[FolderId]:
        """The folders in which a folder really lies: a link to one of them is a circle."""
        return frozenset(map(_folder_id, (self.root / inner).resolve().parents))

    def _folders(self, inner: str) -> list[tuple[str, bool]]:
        """Sub-folders of a folder, and whether each is a link; its files are taken note of."""
        folder = self.root / inner
        folders = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_hidden(entry.name):
                        self.ignored["hidden"] += 1
                    elif _is(entry.is_dir):
                        folders.append((entry.name, entry.is_symlink()))
                    else:
                        self._file(f"{inner}{entry.name}", is_regular=_is(entry.is_file))
        except OSError as error:
            raise UserError(
                f"cannot list {folder}: {error.strerror}; check its permissions"
            ) from error
        return folders

    def _file(self, path: str, *, is_regular: bool) -> None:
        suffix = os.path.splitext(path)[1].lower()
        if not is_regular:
            if suffix in SUFFIXES and not self.lenient:
                raise cannot_open(self.root / path, _why_not(self.root / path))
            self.ignored["links and devices that are no files"] += 1
        elif suffix in SUFFIXES:
            self.paths.append(path)
        else:
            found = _sniffed(self.root / path)
            if found and not (found == "TIFF" and suffix in FOREIGN_SUFFIXES):
                self.paths.append(path)
            elif suffix in FOREIGN_SUFFIXES:
                self.foreign.append(path)
            else:
                self.ignored["other files"] += 1


def _folder_id(folder: Path) -> FolderId:
    try:
        found = os.stat(folder)
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror}; check its permissions") from error
    return found.st_dev, found.st_ino


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no part of what its user has put there."""
    return name.startswith(".") or name in HIDDEN


def cannot_open(path: Path, reason: str | None) -> UserError:
    """The one line for an image file that is there, but not to be had."""
    return UserError(f"cannot open {path}: {reason}; check its permissions or remove it")


def _is(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # A link that leads to itself.
        return False


def _why_not(path: Path) -> str | None:
    try:
        os.stat(path)
    except OSError as error:
        return error.strerror
    return "not a regular file"


def _sniffed(path: Path) -> str | None:
    try:
        with open_regular(path) as file:
            return format_of(file.read(HEADER_BYTES))
    except OSError:  # By its name it is no image, so nobody misses it.
        return None
