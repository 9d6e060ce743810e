"""Showing on stderr how far a run is: lines now and then, or bars on a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypedDict

from bench.run.under_way import Left, Seen, UnderWay
from bench.store.progress import duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

Say = Callable[[str], None]
Watch = Callable[[UnderWay], AbstractContextManager[None]]

SECONDS_BETWEEN_LINES, SECONDS_BETWEEN_DRAWINGS = 20.0, 0.5
MOST_BARS = 12
# The time left of a run matters most, a loss least: at 80 columns something has to give.
NAME_LENGTH, BAR_WIDTH = 17, 12


def watch_on_stderr(say: Say) -> Watch:
    """Bars where stderr is a terminal that can draw them, lines by `say` elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        return bars(console)
    return lines(say)


def lines(say: Say) -> Watch:
    """While a suite runs, a line for each of its running stages now and then, and one for it."""

    @contextmanager
    def watch(run: UnderWay) -> Iterator[None]:
        def beat() -> None:
            running = run.running()
            for name, seen in running.items():
                say("  " + ", ".join([f"{name} {_count(seen)}", *_pace(seen), *_left(seen)]))
            if run.total > 1:
                say("  " + ", ".join([_stages(run), *_all_left(run.left(running))]))

        with repeated(beat, SECONDS_BETWEEN_LINES):
            yield

    return watch


def bars(console: Console) -> Watch:
    """While a suite runs, a bar for it and one for each of its running stages."""

    @contextmanager
    def watch(run: UnderWay) -> Iterator[None]:
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
        with progress, repeated(lambda: _draw(progress, tasks, run), SECONDS_BETWEEN_DRAWINGS):
            yield

    return watch


class _Row(TypedDict):
    """A bar: what `rich` draws, and the fields of its columns."""

    completed: float
    total: float
    count: str
    left: str


def _draw(progress: Progress, tasks: dict[str, TaskID], run: UnderWay) -> None:
    """Bring the bars up to date: those of stages that no longer run go."""
    running = run.running()
    rows = {"all stages": _run_row(run, running)}
    for name, seen in list(running.items())[:MOST_BARS]:
        told = seen.told
        rows[name[:NAME_LENGTH]] = {
            "completed": told.done if told else 0,
            "total": told.total if told else 1,
            "count": ", ".join([_count(seen), *_pace(seen)]),
            "left": "".join(_left(seen)),
        }
    for name in set(tasks) - set(rows):
        progress.remove_task(tasks.pop(name))
    for name, row in rows.items():
        if name not in tasks:
            tasks[name] = progress.add_task(name, count=row["count"], left=row["left"])
        progress.update(tasks[name], **row)
    progress.refresh()


def _run_row(run: UnderWay, running: dict[str, Seen]) -> _Row:
    """Stages that are half done count by half."""
    told = (seen.told for seen in running.values())
    parts = sum(one.done / one.total for one in told if one and one.total)
    return {
        "completed": run.ended + parts,
        "total": run.total,
        "count": _stages(run),
        "left": "".join(_all_left(run.left(running))),
    }


def _count(seen: Seen) -> str:
    return str(seen.told) if seen.told else "runs"


def _pace(seen: Seen) -> list[str]:
    return [seen.told.pace] if seen.told and seen.told.pace else []


def _left(seen: Seen) -> list[str]:
    return [] if seen.seconds_left is None else [f"{duration(seen.seconds_left)} left"]


def _stages(run: UnderWay) -> str:
    return f"{run.ended}/{run.total} stages"


def _all_left(left: Left) -> list[str]:
    """Nothing where nothing is known yet."""
    if left.more and not left.seconds:
        return []
    return [f"{'over ' * left.more}{duration(left.seconds)} left"]


@contextmanager
def repeated(function: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call a function in the background, every so many seconds, until the block ends.

    What watches a run must not hold it up: neither does a function that takes long.
    """
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
