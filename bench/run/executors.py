"""Executors: run the stages of an agenda; here those of this process, one after the other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from bench.errors import UserError
from bench.run.agenda import Agenda
from bench.stages import STAGES
from bench.store.stage import Outcome, Resources, StageFunction, StageSpec, compute
from bench.store.stopping import Stopping, stopped_by_signals
from bench.store.store import Store

SECONDS_BETWEEN_TRIES = 0.2


class Executor(Protocol):
    """Runs stages as an agenda gives them out."""

    def check(self, requests: Mapping[str, Resources]) -> None:
        """Refuse (`UserError`) stages, by name, whose resources can never be had."""

    @property
    def room(self) -> tuple[float, float] | None:
        """CPUs and GPUs there are, once `check` is done; None where one stage runs at a time."""

    def run(self, agenda: Agenda) -> None:
        """Run what the agenda has, until it is finished or stopped; it hears of every end."""

    def close(self) -> None:
        """Let go of what was started."""


class SerialExecutor:
    """One stage after the other in this process: for tests and machines without Ray."""

    room = None

    def __init__(self, store: Store):
        self.store = store

    def check(self, requests: Mapping[str, Resources]) -> None:
        """Only a missing GPU can be refused: threads are shared."""
        require_device(requests)

    def run(self, agenda: Agenda) -> None:
        """Run the stages in the agenda's order; signals stop the one that runs (`Stopping`)."""
        stopping = Stopping()
        with stopped_by_signals(stopping):
            while not agenda.finished:
                agenda.stopped |= stopping.asked
                if agenda.stopped:
                    return
                spec = agenda.take()
                if spec is None:  # All that is left waits for another run.
                    time.sleep(SECONDS_BETWEEN_TRIES)
                    continue
                agenda.end(compute_with_threads(self.store, spec, stopping))
                stopping.idle()

    def close(self) -> None:
        """Nothing was started."""


def compute_with_threads(
    store: Store, spec: StageSpec, stopping: Stopping, function: StageFunction | None = None
) -> Outcome:
    """Compute a stage, by its own function if not another, on as many threads as it asks CPUs."""
    import torch

    torch.set_num_threads(spec.resources.cpus)
    return compute(store, spec, function or STAGES[spec.stage].compute, stopping=stopping)


def require_device(requests: Mapping[str, Resources]) -> None:
    """Refuse a GPU on a machine without one, and more than there are.

    Raises:
        UserError: names the stage.
    """
    for stage, resources in requests.items():
        if resources.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise UserError(
                    f"{stage}: device cuda is asked for, but this machine has no usable GPU; "
                    "set device: cpu in the suite, or join a cluster with --ray-address"
                )
            if resources.gpus > torch.cuda.device_count():
                raise UserError(
                    f"resources.{stage}: asks for {resources.gpus:g} GPUs, and this machine has "
                    f"{torch.cuda.device_count()}; ask for fewer"
                )
