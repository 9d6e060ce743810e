"""An image folder: which of its files are images, and which folders are its splits.

- Top folders named `train`, `val`, `valid`, `validation` and `test`, in any case, are splits;
  `test` is held out, and what lies beside them is not read. A configuration may name the folders
  instead; it has to where they leave room for doubt.
- Otherwise first-level folders are classes, and the images are divided by their content.
- `bench.data.walk` says what is an image, `bench.data.decoding` how it becomes pixels.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bench.data.formats import SUFFIXES
from bench.data.walk import Walk, cannot_open, is_hidden
from bench.errors import UserError, suggestion

SPLIT_OF_NAME = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
NAMED_AT_MOST = 3


@dataclass(frozen=True)
class SplitFolders:
    """The top folders that a configuration names for its splits; None leaves one to the folder.

    `train` is "." where all top folders are classes. Where both name the same folder, its images
    are divided by their content. `undivided`: all images validate, and `train` is ".".
    """

    train: str | None = None
    validation: str | None = None
    undivided: bool = False

    @staticmethod
    def of(settings: Mapping[str, Any]) -> "SplitFolders":
        """The keys `train_folder`, `validation_folder`, `undivided`, where there are such."""
        return SplitFolders(
            settings.get("train_folder"),
            settings.get("validation_folder"),
            bool(settings.get("undivided")),
        )


class WholeTree(SplitFolders):
    """No splits, whatever the folders are called: a tree that is no image set of its own."""


AS_FOUND = SplitFolders()
WHOLE = WholeTree(train=".")


@dataclass(frozen=True)
class Listing:
    """The images of a folder, its splits, and what else is there.

    splits: top folder -> split, "" where its images are divided by content; empty where the folder
        has no splits of its own.
    paths: the images to read, sorted.
    held_out: top folder -> number of images that are for tests, and not read.
    beside: top folders and images beside the splits, which are not read.
    foreign: files that look like images, of formats that are not read, sorted.
    ignored: how many other things there are, by what they are.
    linked: how many linked folders lie out of the tree.
    undivided: all images validate.
    mark: of splits that the first version found otherwise, where fingerprints were born.
    """

    root: Path
    paths: list[str]
    foreign: list[str]
    ignored: dict[str, int]
    linked: int
    splits: dict[str, str]
    held_out: dict[str, int]
    beside: list[str]
    mark: str
    undivided: bool = False

    def split_of(self, path: str) -> str:
        """The split whose folder an image lies in; empty where its content decides."""
        return self.splits.get(path.split("/", 1)[0], "")

    def class_of(self, path: str) -> str:
        """The first-level folder, inside the split's where there is one; `.` for the root."""
        folders = PurePosixPath(path).parts[bool(self.splits) : -1]
        return folders[0] if folders else "."

    def told(self) -> list[str]:
        """Splits, classes and counts in one line, and what looks like an image in another."""
        classes = len({self.class_of(path) for path in self.paths})
        held_out = [f"{folder}/ {count}, held out" for folder, count in self.held_out.items()]
        parts = [", ".join([*self._counts(), *held_out]), _count(classes, "class")]
        if self.beside:
            parts.append(f"beside them, not read: {_some(self.beside)}")
        if self.linked:
            parts.append(f"{_count(self.linked, 'linked folder')} from out of the tree")
        parts += told_ignored(self.ignored)
        return [f"image folder {self.root}: {'; '.join(parts)}", *told_foreign(self.foreign)]

    def _counts(self) -> list[str]:
        if not self.splits:
            how_all = "all to validate" if self.undivided else "divided by content"
            return [f"{_count(len(self.paths), 'image')}, {how_all}"]
        number = Counter(path.split("/", 1)[0] for path in self.paths)
        how = {"": "divided by content", "train": "to train", "validation": "to validate"}
        return [f"{folder}/ {number[folder]} {how[s]}" for folder, s in self.splits.items()]


def told_foreign(foreign: list[str]) -> list[str]:
    """The line for files that look like images and are not read, if there are any."""
    if not foreign:
        return []
    count = _count(len(foreign), "file")
    return [f"warning: {count} with the suffix of an image not read: {_some(foreign)}; convert"]


def told_ignored(ignored: Mapping[str, int]) -> list[str]:
    """The words for hidden and other files, if there are any."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(ignored.items()))
    return [f"ignored: {kinds}"] if kinds else []


def list_images(root: Path, folders: SplitFolders = AS_FOUND) -> Listing:
    """List an image folder; no file with the suffix of an image is read.

    Raises UserError when the folder is missing, has no images, cannot be listed, holds a name that
    is not UTF-8 or an image that is no regular file, or when its splits are in doubt.
    """
    if not root.is_dir():
        raise UserError(f"image folder {root} does not exist or is not a folder; check data.path")
    there, top_images = _top(root)
    splits = _splits(root, there, folders)
    walk = Walk(root)
    for start in [f"{name}/" for name in splits] or [""]:
        walk.add(start)
    beside = [name for name in there if name not in splits] if splits else []
    held_out = [name for name in beside if SPLIT_OF_NAME.get(name.lower()) == "test"]
    others = [f"{name}/" for name in beside if name not in held_out]
    return Listing(
        root=root,
        paths=_checked(walk),
        foreign=sorted(walk.foreign),
        ignored=dict(walk.ignored),
        linked=walk.linked,
        splits=splits,
        held_out={name: _count_images(root, name) for name in held_out},
        beside=others + (top_images if splits else []),
        mark="" if splits == _first_rule(there) else f"{sorted(splits.items())}\n",
        undivided=folders.undivided,
    )


def all_images(root: Path) -> Walk:
    """The images below a folder, which has no splits, sorted.

    Raises UserError as `list_images` does.
    """
    if not root.is_dir():
        raise UserError(f"image folder {root} does not exist or is not a folder")
    walk = Walk(root)
    walk.add("")
    walk.paths = _checked(walk)
    walk.foreign.sort()
    return walk


def require_readable(root: Path | str, folders: SplitFolders = AS_FOUND) -> Listing:
    """Refuse a folder that `list_images` refuses, or with a file that may not be opened.

    Raises UserError; reads no image.
    """
    listing = list_images(Path(root), folders)
    for path in listing.paths:
        if not os.access(listing.root / path, os.R_OK):
            raise cannot_open(listing.root / path, "not a file that may be read")
    return listing


def _checked(walk: Walk) -> list[str]:
    if not walk.paths:
        raise UserError(
            f"image folder {walk.root} has no images"
            + "".join(f"; {line}" for line in told_foreign(walk.foreign))
        )
    for path in walk.paths:
        if not is_utf8(path):
            raise UserError(
                f"image folder {walk.root}: the name {path!a} is not UTF-8; rename the file"
            )
    return sorted(walk.paths)


def _top(root: Path) -> tuple[list[str], list[str]]:
    """Folders at the top, and files with the suffix of an image."""
    try:
        names = [name for name in sorted(os.listdir(root)) if not is_hidden(name)]
    except OSError as error:
        raise UserError(f"cannot list {root}: {error.strerror}; check its permissions") from error
    images = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES]
    folders = [name for name in names if os.path.isdir(root / name)]
    return folders, [name for name in images if name not in folders]


def _splits(root: Path, there: list[str], asked: SplitFolders) -> dict[str, str]:
    """Top folder of each split -> split; empty where the folder has no splits."""
    _require_there(root, there, asked)
    if asked.train == ".":
        return {}
    found: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for name in there:
        if name.lower() in SPLIT_OF_NAME:
            found[SPLIT_OF_NAME[name.lower()]].append(name)
    train = [asked.train] if asked.train else found["train"]
    validation = [asked.validation] if asked.validation else found["validation"]
    if asked.train and not validation:
        validation = train
    if len(train) == 1 and len(validation) == 1:
        by_content = train == validation
        return {train[0]: ""} if by_content else {train[0]: "train", validation[0]: "validation"}
    if not asked.validation and not any(found.values()):
        return {}
    raise UserError(f"image folder {root} {_doubt(train, validation, found['test'])}")


def _require_there(root: Path, there: list[str], asked: SplitFolders) -> None:
    for key, name in (("train_folder", asked.train), ("validation_folder", asked.validation)):
        if name is not None and name not in there and (key, name) != ("train_folder", "."):
            raise UserError(
                f"data.{key}: image folder {root} has no folder {name!r} at its top"
                + suggestion(name, there)
            )


def _doubt(train: list[str], validation: list[str], test: list[str]) -> str:
    """Why the splits are in doubt, and the keys that settle it."""
    as_classes = "data.train_folder: . takes all top folders as classes"
    for several, key in ((train, "train_folder"), (validation, "validation_folder")):
        if len(several) > 1:
            return (
                f"has both {' and '.join(several)}; name one of them as data.{key} ({as_classes})"
            )
    if train:
        name = train[0]
        validate = [f"data.validation_folder: {test[0]} validates on it, "] if test else [""]
        beside = f" and {test[0]}" if test else ""
        return (
            f"has {name}{beside}, but no val, valid or validation; {validate[0]}"
            f"data.train_folder: {name} takes validation images from {name}, {as_classes}"
        )
    alone = " and ".join(dict.fromkeys([*validation, *test]))
    return f"has {alone}, but no train; name a folder as data.train_folder ({as_classes})"


def _first_rule(there: list[str]) -> dict[str, str]:
    """Splits as the first version saw them: a fingerprint without a mark stands for these."""
    validation = [name for name in ("val", "validation") if name in there]
    if "train" in there and len(validation) == 1:
        return {"train": "train", validation[0]: "validation"}
    return {}


def _count_images(root: Path, folder: str) -> int:
    walk = Walk(root, lenient=True)
    walk.add(f"{folder}/")
    return len(walk.paths)


def _count(number: int, thing: str) -> str:
    plural = "es" if thing.endswith("s") else "s"
    return f"{number} {thing}{plural if number != 1 else ''}"


def _some(names: list[str]) -> str:
    """The first names, made fit for a line."""
    shown = ", ".join(ascii(n)[1:-1] if not n.isprintable() else n for n in names[:NAMED_AT_MOST])
    return shown + (f" and {len(names) - NAMED_AT_MOST} more" * (len(names) > NAMED_AT_MOST))


def is_utf8(path: str) -> bool:
    """Names of other encodings reach Python with surrogates, which no table can hold."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
