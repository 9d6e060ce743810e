"""Which file of a folder of reconstructions is of which image, and what is wrong with it.

files.parquet     a row per file: `budget`, `name`, `path`, `file_sha256`, `problem`
tokens.parquet    a row per image: `id` and `ids`, where there are token ids

A file, or a row of ids, is called as the image's id, or as that without the suffix of an image.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.data.formats import SUFFIXES

FILES, TOKENS = "files.parquet", "tokens.parquet"
NAMED_AT_MOST, LISTED_AT_MOST = 3, 4


class File(NamedTuple):
    """A file of a reconstruction: its path below the folder, and its hash."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with images of a set: `have no file at budget 4`."""

    what: str
    images: tuple[str, ...]

    def told(self, of: str) -> str:
        """The words: `3 of the 24 validation images have no file at budgets 4 and 8 (a, b, c)`."""
        return f"{len(self.images)} of the {of} {self.what} ({_some(self.images)})"


@dataclass(frozen=True)
class Inventory:
    """All files of a folder, as a stage found them, and the token ids."""

    files: pd.DataFrame
    tokens: pd.DataFrame | None

    @staticmethod
    def read(artifact: Path) -> Inventory:
        """Those of an artifact."""
        tokens = artifact / TOKENS
        return Inventory(
            pd.read_parquet(artifact / FILES),
            pd.read_parquet(tokens) if tokens.is_file() else None,
        )

    def write(self, folder: Path) -> None:
        """Write the files of an artifact."""
        self.files.to_parquet(folder / FILES, index=False)
        if self.tokens is not None:
            self.tokens.to_parquet(folder / TOKENS, index=False)

    @property
    def example(self) -> str:
        """The path of one of the files."""
        return str(self.files["path"].iloc[0]) if len(self.files) else ""

    @functools.cached_property
    def _by_name(self) -> dict[int, dict[str, list[tuple[File, str]]]]:
        found: dict[int, dict[str, list[tuple[File, str]]]] = {}
        for budget, name, path, sha256, problem in self.files.itertuples(index=False):
            places = found.setdefault(budget, {})
            places.setdefault(name, []).append((File(path, sha256), problem))
        return found

    @functools.cached_property
    def _rows(self) -> dict[str, int]:
        assert self.tokens is not None, "asked for where there are some"
        return {name: row for row, name in enumerate(self.tokens["id"])}

    @functools.cached_property
    def _ids(self) -> np.ndarray:
        assert self.tokens is not None, "asked for where there are some"
        return np.stack(self.tokens["ids"].tolist()).astype(np.int64)

    def of(self, images: Sequence[str], budget: int) -> list[File]:
        """The files of these images at a budget; they are known to have no problems."""
        places = self._by_name[budget]
        return [places[_called(image, places)[0]][0][0] for image in images]

    def ids(self, images: Sequence[str]) -> np.ndarray | None:
        """Token ids `[n, N]` int64 of these images; None where there are none."""
        if self.tokens is None:
            return None
        rows = [self._rows[_called(image, self._rows)[0]] for image in images]
        return self._ids[rows]

    def used(self, images: Sequence[str], budgets: Sequence[int]) -> set[str]:
        """Paths of all files that are of these images."""
        places = [self._by_name.get(budget, {}) for budget in budgets]
        return {
            file.path
            for of_budget in places
            for image in images
            for name in _called(image, of_budget)
            for file, _ in of_budget[name]
        }

    def problems(self, images: Sequence[str], budgets: Sequence[int]) -> list[Problem]:
        """What is wrong with the files of these images; empty where all can be used."""
        found: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        for budget in budgets:
            for what, wrong in self._wrong(images, budget).items():
                found.setdefault((what, tuple(wrong)), []).append(budget)
        problems = [Problem(f"{what} {_at(at)}", wrong) for (what, wrong), at in found.items()]
        if self.tokens is not None:
            without = tuple(image for image in images if len(_called(image, self._rows)) != 1)
            problems += [Problem("have not one row of tokens", without)] if without else []
        return problems

    def _wrong(self, images: Sequence[str], budget: int) -> dict[str, list[str]]:
        places = self._by_name.get(budget, {})
        wrong: dict[str, list[str]] = {}
        owners: dict[str, str] = {}
        for image in images:
            names = _called(image, places)
            files = [one for name in names for one in places[name]]
            if not files:
                what = "have no file"
            elif len(files) > 1:
                what = "have several files"
            elif names[0] in owners:
                what = f"share a file with others, as {owners[names[0]]}, and need the id's suffix,"
            else:
                owners[names[0]] = image
                what = files[0][1]
            if what:
                wrong.setdefault(what, []).append(image)
        return wrong


def told(problems: Sequence[str]) -> str:
    """The first of the problems, in a line."""
    more = len(problems) - LISTED_AT_MOST
    return "; ".join(problems[:LISTED_AT_MOST]) + (f"; and {more} more" if more > 0 else "")


def _called(image: str, names: Iterable[str] | dict[str, object]) -> list[str]:
    """Those of the `names` by which a file may be of an image."""
    stem, suffix = os.path.splitext(image)
    known = [image, stem] if suffix.lower() in SUFFIXES else [image]
    return [name for name in known if name in names]


def _at(budgets: Sequence[int]) -> str:
    *others, last = map(str, budgets)
    return f"at budgets {', '.join(others)} and {last}" if others else f"at budget {last}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(ascii(n)[1:-1] if not n.isprintable() else n for n in names[:NAMED_AT_MOST])
    return shown + (" ..." if len(names) > NAMED_AT_MOST else "")
