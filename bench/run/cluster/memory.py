"""Memory of workers: what their stages may take, and those that Ray ends for lack of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.execution import tune_controller


def taken_bytes(process: psutil.Process) -> int:
    """Memory that a process and all below it hold for themselves: files and shared memory apart."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # It has ended meanwhile.
            held = one.memory_info()
            total += held.rss - getattr(held, "shared", 0)
    return total


def end_below(process: psutil.Process) -> None:
    """Kill all processes below one."""
    for one in process.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            one.kill()


class _Manager(RayActorManager):
    """Tune's own, which takes `OutOfMemoryError` for a fault of the program and ends with it."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = RayActorError(error_msg=str(exception))
        super()._actor_task_failed(tracked_actor_task, exception)


@contextmanager
def deaths_of_one_trial() -> Iterator[None]:
    """While the block runs Tune, a worker that Ray's memory monitor kills fails its trial alone.

    A Ray actor that dies so raises no `RayActorError` (Ray 2.60), and Tune knows no other one.
    """
    controller: Any = tune_controller
    before = controller.RayActorManager
    controller.RayActorManager = _Manager
    try:
        yield
    finally:
        controller.RayActorManager = before
