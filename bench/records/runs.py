"""The runs of a suite: which cells it had, in `records/<suite>/runs.jsonl` beside its records.

A line for each version of the suite, in the order in which they were last started. The records of
the last one's cells are current; others are superseded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.files import content_key, write_text

FILE = "runs.jsonl"
VERSION = 1


class Damaged(UserError):
    """The account of a suite's runs cannot be read."""

    def __init__(self, folder: Path):
        super().__init__(
            f"{folder / FILE}: damaged, so current records cannot be told from superseded ones; "
            "run the suite again, which writes it anew"
        )


@dataclass(frozen=True)
class Run:
    """One version of a suite: when it was first and last started (UTC, ISO 8601), and its cells.

    `file` is the suite's YAML, `cells` are keys in the order of the suite.
    """

    first: str
    started: str
    file: str
    cells: tuple[str, ...]

    @property
    def when(self) -> str:
        """When it was first started, to the second."""
        return self.first[:19] + "Z"


def now() -> str:
    """The time in UTC, in a form that sorts."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def read_runs(folder: Path) -> list[Run]:
    """The runs of a suite by the folder of its records; none where an older version wrote them.

    Raises:
        Damaged: the file is torn, or another program has changed it.
        UserError: it is of a newer version.
    """
    try:
        lines = (folder / FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    if not lines:
        raise Damaged(folder)
    return [_parsed(line, folder) for line in lines]


def superseded_by(key: str, runs: Sequence[Run]) -> Run | None:
    """The run that took the place of a cell's record; None for a cell of the last run."""
    later = None
    for run in reversed(runs):
        if key in run.cells:
            break
        later = run
    return later


def with_run(run: Run, runs: Sequence[Run]) -> list[Run]:
    """The runs with one more; one of the same cells as the version before goes on with that."""
    earlier = [one for one in runs if one.started <= run.started]
    later = [one for one in runs if one.started > run.started]
    if earlier and earlier[-1].cells == run.cells:
        run = Run(earlier.pop().first, run.started, run.file, run.cells)
    return [*earlier, run, *later]


def write_runs(folder: Path, runs: Sequence[Run]) -> None:
    """Write the file anew, all at once."""
    lines = []
    for run in runs:
        known: dict[str, Any] = {"version": VERSION, **asdict(run)}
        known["digest"] = content_key(known)
        lines.append(json.dumps(known) + "\n")
    write_text(folder / FILE, "".join(lines))


def _parsed(line: bytes, folder: Path) -> Run:
    try:
        known = json.loads(line)
        version, digest = known.pop("version"), known.pop("digest")
        if version > VERSION:
            raise UserError(f"{folder / FILE}: written by a newer adatok-bench; update this one")
        if digest != content_key({"version": version, **known}):
            raise Damaged(folder)
        return Run(**{**known, "cells": tuple(known["cells"])})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Damaged(folder) from None
