"""How far a stage is: what it tells in `progress.json`, and how long the rest will take."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.files import write_json

SECONDS_BETWEEN = 1.0


@dataclass(frozen=True)
class Told:
    """`done` of `total`, with a `note` that says of what: `steps, loss 0.01`.

    `seconds` since the stage first told something; `rate` is what is done in a second since then,
    and `seconds_left` at that pace, both None where there is none yet.
    """

    done: int
    total: int
    note: str
    seconds: float
    seconds_left: float | None
    rate: float | None = None

    def __str__(self) -> str:
        return f"{self.done}/{self.total} {self.note}".rstrip()

    @property
    def pace(self) -> str:
        """The rate for people: `12/s`, `3.4/min`; empty where there is none yet."""
        if not self.rate:
            return ""
        for unit, seconds in (("s", 1), ("min", 60), ("h", 3600)):
            if self.rate * seconds >= 1 or unit == "h":
                break
        return f"{self.rate * seconds:.{0 if self.rate * seconds >= 10 else 1}f}/{unit}"


def read_progress(work: Path) -> Told | None:
    """The last progress of the stage with this work folder, as of now; None when it tells none."""
    try:
        told = json.loads((work / "progress.json").read_text("utf-8"))
        # Clocks of two machines may differ a little.
        since = max(0.0, time.time() - told.pop("at"))
        left = told.pop("seconds_left")
        return Told(
            **{**told, "seconds": told["seconds"] + since},
            seconds_left=None if left is None else max(0.0, left - since),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass
class Teller:
    """Writes `progress.json` into a work folder, at most once a second."""

    work: Path
    _began: float = field(default_factory=lambda: time.monotonic())
    _told: float = -math.inf
    _first: tuple[float, int, int] = (0.0, 0, -1)

    def tell(self, done: int, total: int, note: str = "") -> None:
        """Tell whoever watches; the pace is that since the first call with this total."""
        now = time.monotonic()
        if total != self._first[2]:
            # A stage that goes on from a checkpoint does not begin at nothing.
            self._first = (now, done, total)
        if now - self._told < SECONDS_BETWEEN:
            return
        self._told = now
        began, first, _ = self._first
        pace = (now - began) / (done - first) if done > first else None
        write_json(
            self.work / "progress.json",
            {
                "done": done,
                "total": total,
                "note": note,
                "seconds": now - self._began,
                "seconds_left": None if pace is None else pace * (total - done),
                "rate": 1 / pace if pace else None,
                "at": time.time(),
            },
        )


def duration(seconds: float) -> str:
    """`8 s`, `1 min 20 s`, `2 h 5 min`: two units are enough."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
