"""Calls of MLflow that are given up: servers hang or drip, and databases are locked by others."""

from __future__ import annotations

import contextvars
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

# Of one call, and of all together what they take beyond that.
SECONDS, SECONDS_OF_ALL = 5.0, 90.0
SECONDS_BETWEEN_LOOKS = 0.5


class OutOfPatience(Exception):
    """A call took too long; it may still go on in the background."""


class Patient:
    """Anything, whose methods together take no more than `SECONDS_OF_ALL` above the usual.

    The time limits of requests do not do that: they begin anew with every byte that comes.
    """

    def __init__(self, make: Callable[[], Any], *, abandoned: threading.Event | None = None):
        """Begin with what `make` gives; once `abandoned` is set, nothing is waited for any more."""
        self._left, self._abandoned = SECONDS_OF_ALL, abandoned or threading.Event()
        self._of = self._call(make)

    def __getattr__(self, name: str) -> Any:
        return functools.partial(self._call, getattr(self._of, name))

    def _call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What the function gives or raises.

        Raises:
            OutOfPatience: it takes too long, or was abandoned.
        """
        ended = threading.Event()
        answer: list[Any] = []
        raised: list[BaseException] = []
        context = contextvars.copy_context()

        def run() -> None:
            try:
                answer.append(context.run(function, *arguments, **named))
            except BaseException as error:
                raised.append(error)
            finally:
                ended.set()

        began = time.monotonic()
        threading.Thread(target=run, name="MLflow", daemon=True).start()
        if not self._waited(ended, began + SECONDS + self._left):
            raise OutOfPatience(f"no answer within {time.monotonic() - began:.0f} s")
        self._left -= max(0.0, time.monotonic() - began - SECONDS)
        if raised:
            raise raised[0]
        return answer[0]

    def _waited(self, ended: threading.Event, until: float) -> bool:
        """Whether it has ended by then."""
        while not ended.wait(min(SECONDS_BETWEEN_LOOKS, max(0.0, until - time.monotonic()))):
            if self._abandoned.is_set() or time.monotonic() >= until:
                return ended.is_set()
        return True
