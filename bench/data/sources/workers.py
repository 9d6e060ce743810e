"""Reading a source's files in several processes, and the rows in the order in which they come."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import IO, Any, cast

from bench.data.sources.reading import Task, columns_of, read_places
from bench.errors import UserError

Columns = dict[str, list[Any]]


def cpus() -> int:
    """CPUs that this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def require_cpus(workers: int, *, key: str) -> None:
    """Refuse more workers than this process has CPUs.

    Raises:
        UserError: names the setting.
    """
    if workers > (there := cpus()):
        raise UserError(f"{key}: {workers} workers, and this machine has {there} CPUs; lower it")


def read_all(tasks: Sequence[Task], *, workers: int) -> Iterator[tuple[Task, Columns]]:
    """Every task with the columns of its rows; one worker is this process itself.

    Raises:
        UserError: a file or shard cannot be read, or a worker has died.
    """
    if workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, columns_of(read_places(task))
        return
    with contextlib.ExitStack() as stack:
        pending = list(reversed(tasks))
        done: SimpleQueue[tuple[Task, Columns | UserError]] = SimpleQueue()
        for _ in range(min(workers, len(tasks))):
            process = stack.enter_context(_worker())
            feeder = threading.Thread(target=_feed, args=(process, pending, done), daemon=True)
            feeder.start()
        for _ in tasks:
            task, found = done.get()
            if isinstance(found, UserError):
                pending.clear()
                raise found
            yield task, found


@contextlib.contextmanager
def _worker() -> Iterator[subprocess.Popen[str]]:
    """A process that ends with this block, and with this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.data.sources.reading"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # Ctrl-C is for this process, which ends them.
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                cast(IO[str], stream).close()


def _feed(
    process: subprocess.Popen[str],
    pending: list[Task],
    done: SimpleQueue[tuple[Task, Columns | UserError]],
) -> None:
    """Give a worker one task after the other until there are none."""
    while True:
        try:
            task = pending.pop()
        except IndexError:
            return
        try:
            print(json.dumps(task), file=process.stdin, flush=True)
            answer = json.loads(cast(IO[str], process.stdout).readline())
        except (OSError, ValueError):
            place = task["places"][0][0]
            done.put((task, UserError(f"a process that read {place} has died; run again")))
            return
        done.put((task, UserError(answer["error"]) if "error" in answer else answer["rows"]))
