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


class OutOfPatience(Exception):
    """A call took too long; it may still go on in the background."""


class Patient:
    """Anything, whose methods together take no more than `SECONDS_OF_ALL` above the usual.

    The time limits of requests do not do that: they begin anew with every byte that comes.
    """

    def __init__(self, make: Callable[[], Any]):
        self._left = SECONDS_OF_ALL
        self._of = self._call(make)

    def __getattr__(self, name: str) -> Any:
        return functools.partial(self._call, getattr(self._of, name))

    def _call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What the function gives or raises.

        Raises:
            OutOfPatience: it takes too long.
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
        if not ended.wait(SECONDS + self._left):
            raise OutOfPatience(f"no answer within {time.monotonic() - began:.0f} s")
        self._left -= max(0.0, time.monotonic() - began - SECONDS)
        if raised:
            raise raised[0]
        return answer[0]
