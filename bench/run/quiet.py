"""Output of libraries that write past Python, such as Ray's, kept out of what people read."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO

STDOUT, STDERR = 1, 2


@contextmanager
def output_to(log: Path) -> Iterator[None]:
    """While the block runs, what is written to the process's stdout and stderr goes to `log`.

    Python's `sys.stderr` alone still reaches whoever reads: progress and errors.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (STDOUT, STDERR)}
    people = sys.stderr
    if _number(people) == STDERR:  # Under pytest it is another.
        people = os.fdopen(os.dup(STDERR), "w", buffering=1, encoding=people.encoding)
    with log.open("ab") as file:
        for number in kept:
            os.dup2(file.fileno(), number)
    try:
        with redirect_stderr(people), redirect_stdout(io.StringIO()):
            yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)


def _number(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
