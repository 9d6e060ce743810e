"""Showing on stderr how far a run is: lines now and then, or bars on a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypedDict

from bench.run.level import Level
from bench.store.progress import Told, duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

Say = Callable[[str], None]
Watch = Callable[[Level], AbstractContextManager[None]]

SECONDS_BETWEEN_LINES, SECONDS_BETWEEN_DRAWINGS = 20.0, 0.5
MOST_BARS = 12
# The time left of a level matters most, a loss least: at 80 columns something has to give.
NAME_LENGTH, BAR_WIDTH = 17, 12


def watch_on_stderr(say: Say) -> Watch:
    """Bars where stderr is a terminal that can draw them, lines by `say` elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        return bars(console)
    return lines(say)


def lines(say: Say) -> Watch:
    """While a level runs, a line for each of its running stages now and then."""

    @contextmanager
    def watch(level: Level) -> Iterator[None]:
        def beat() -> None:
            running = level.running()
            for name, told in running.items():
                say(f"  {name} {told}{_left(', ', told.seconds_left)}")
            left = level.seconds_left(running)
            if len(level.specs) > 1 and left is not None:
                say(f"  {_stages(level)} of this level{_left(', ', left)}")

        with _repeated(beat, SECONDS_BETWEEN_LINES):
            yield

    return watch


def bars(console: Console) -> Watch:
    """While a level runs, a bar for it and one for each of its running stages."""

    @contextmanager
    def watch(level: Level) -> Iterator[None]:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        def text(field: str, *, ratio: int | None = None) -> TextColumn:
            column = Column(no_wrap=True, ratio=ratio)
            return TextColumn("{" + field + "}", markup=False, table_column=column)

        progress = Progress(
            text("task.description"),
            BarColumn(bar_width=BAR_WIDTH),
            text("task.fields[count]", ratio=1),
            text("task.fields[left]"),
            console=console,
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        tasks: dict[str, TaskID] = {}
        with progress, _repeated(lambda: _draw(progress, tasks, level), SECONDS_BETWEEN_DRAWINGS):
            yield

    return watch


class _Row(TypedDict):
    """A bar: what `rich` draws, and the fields of its columns."""

    completed: float
    total: float
    count: str
    left: str


def _draw(progress: Progress, tasks: dict[str, TaskID], level: Level) -> None:
    """Bring the bars up to date: those of stages that no longer run go."""
    running = level.running()
    rows = {f"level {level.number} of {level.of}": _level_row(level, running)}
    for name, told in list(running.items())[:MOST_BARS]:
        rows[name[:NAME_LENGTH]] = {
            "completed": told.done,
            "total": told.total,
            "count": str(told),
            "left": _left("", told.seconds_left),
        }
    for name in set(tasks) - set(rows):
        progress.remove_task(tasks.pop(name))
    for name, row in rows.items():
        if name not in tasks:
            tasks[name] = progress.add_task(name, count=row["count"], left=row["left"])
        progress.update(tasks[name], **row)
    progress.refresh()


def _level_row(level: Level, running: dict[str, Told]) -> _Row:
    """Stages that are half done count by half."""
    parts = sum(told.done / told.total for told in running.values() if told.total)
    return {
        "completed": len(level.ended) + parts,
        "total": len(level.specs),
        "count": _stages(level),
        "left": _left("", level.seconds_left(running)),
    }


def _stages(level: Level) -> str:
    return f"{len(level.ended)}/{len(level.specs)} stages"


def _left(before: str, seconds: float | None) -> str:
    return "" if seconds is None else f"{before}{duration(seconds)} left"


@contextmanager
def _repeated(function: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call a function in the background, every so many seconds, until the block ends."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(seconds):
            function()

    thread = threading.Thread(target=repeat, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
