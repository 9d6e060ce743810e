"""Stopping a stage by its own hand: it leaves a checkpoint first, where it can."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# What clusters leave between SIGTERM and SIGKILL is 30 s (Slurm's KillWait, Kubernetes).
GRACE_SECONDS = 20.0
# A stage that has not looked for so long is not about to.
HEEDING_SECONDS = 60.0


class StageStopped(Exception):
    """A stage was asked to stop, and has left a checkpoint."""


class StoppedEarly(Exception):
    """A training has lost against others of its arm; it has left a checkpoint. Says why."""


class Stopping:
    """Whether a stage was asked to stop; it looks after every step, if it can stop at all."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._looked: float | None = None

    def ask(self) -> None:
        """Ask the stage to stop, from any thread."""
        self._asked.set()

    @property
    def asked(self) -> bool:
        """Whether it was asked, for others than the stage."""
        return self._asked.is_set()

    def looked(self) -> bool:
        """Whether it was asked, for the stage: it stops at once then."""
        self._looked = time.monotonic()
        return self.asked

    @property
    def heeded(self) -> bool:
        """Whether the stage looks now and then."""
        return self._looked is not None and time.monotonic() - self._looked < HEEDING_SECONDS

    def idle(self) -> None:
        """No stage runs that could look."""
        self._looked = None


# Of this process: what runs in it, and may be asked to stop before the process is interrupted.
_RUNNING: list[Stopping] = []


@contextmanager
def stopped_by_signals(stopping: Stopping) -> Iterator[None]:
    """While the block runs, `ask_to_stop` asks `stopping`; a step that takes too long is ended."""
    _RUNNING.append(stopping)
    try:
        yield
    finally:
        _RUNNING.remove(stopping)
        if threading.current_thread() is threading.main_thread():
            signal.setitimer(signal.ITIMER_REAL, 0)


def ask_to_stop() -> bool:
    """Ask what runs in this process to stop; False where it cannot, or was asked already.

    For signal handlers, which interrupt the process themselves then. After `GRACE_SECONDS` without
    an end this does so.
    """
    if not _RUNNING or _RUNNING[-1].asked or not _RUNNING[-1].heeded:
        return False
    _RUNNING[-1].ask()
    signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)
    return True


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
