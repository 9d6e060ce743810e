"""A process of its own for tensors that have shapes alone.

Where garbage is collected beside them, torch 2.13 crashes; so it is not, over there.
"""

from __future__ import annotations

import functools
import gc
import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Found = TypeVar("Found")


def apart(function: Callable[..., Found], *given: object) -> Found | None:
    """The function's result over there, where it is imported; None if two processes die of it."""
    for _ in range(2):  # The first may have been killed while it was idle.
        try:
            return _process().submit(function, *given).result()
        except BrokenProcessPool:
            _process.cache_clear()
    return None


@functools.cache
def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        max_workers=1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
    )


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's.
    gc.disable()
