"""A trial of the Tune run: one stage, computed in a thread while the trial hears of signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from ray import tune

from bench.run.cluster.memory import end_below, taken_bytes
from bench.run.cluster.notes import STOP, Notes
from bench.run.executors import compute_with_threads
from bench.store.progress import read_progress
from bench.store.stage import Outcome, Resources, StageSpec
from bench.store.stopping import GRACE_SECONDS, Stopping
from bench.store.store import Store

SECONDS_BETWEEN_REPORTS, SECONDS_BETWEEN_LOOKS = 10.0, 0.5
# The driver waits for the trials, and whoever sent a signal for the driver.
STOPPING_SECONDS = GRACE_SECONDS - 8
SAVED = "terminated; it has saved a checkpoint"
TERMINATED = 128 + signal.SIGTERM
OVER = "ended: out of memory"


def spec_note(name: str) -> str:
    """The name of the note that holds a stage's specification."""
    return f"spec/{name}"


def end_note(name: str) -> str:
    """The name of the note that says why a stage's worker has ended."""
    return f"end/{name}"


class StageTrial(tune.Trainable):
    """Computes the stage that `config["name"]` names, and reports how far it is, then its end.

    SIGTERM stops the stage, which leaves a checkpoint if it can, and then the process. More memory
    than the stage asked for ends it at once.
    """

    _weigh_from = 0.0

    def setup(self, config: dict[str, Any], root: str = "", run: str = "") -> None:
        """A worker starts."""
        self.store, self.notes = Store(Path(root)), Notes(run)
        self.terminated = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._terminate)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The worker goes on with another stage, on the same resources."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the stage; gives its `outcome` with `done`, or its progress now and then."""
        until = time.monotonic() + SECONDS_BETWEEN_REPORTS
        while self.thread.is_alive():
            self.thread.join(SECONDS_BETWEEN_LOOKS)
            if self.terminated:
                self._end_process()
            self._heed_memory()
            if self._told_to_stop():
                self._stop()
                return self._ended(self.outcome or Outcome(self.name, "stopped"))
            if time.monotonic() >= until:
                told = read_progress(self.store.work(self.spec.stage, self.spec.key))
                return {"progress": asdict(told) if told else {}, "done": False}
        if self.outcome is None:
            raise RuntimeError(f"{self.name}: ended without an outcome")
        return self._ended(self.outcome)

    def cleanup(self) -> None:
        """The trial is over, whatever its stage does."""
        self._stop()

    def _begin(self, config: dict[str, Any]) -> None:
        self.name: str = config["name"]
        text = self.notes.read(spec_note(self.name))
        if text is None:
            raise RuntimeError(f"{self.name}: its run has ended")
        self.spec = StageSpec.from_json(json.loads(text))
        self.outcome: Outcome | None = None
        self.stopping = Stopping()
        limit_gpu_memory(self.spec.resources)
        self.thread = threading.Thread(target=self._compute, name=self.name, daemon=True)
        self.thread.start()

    def _compute(self) -> None:
        self.outcome = compute_with_threads(self.store, self.spec, self.stopping)

    def _ended(self, outcome: Outcome) -> dict[str, Any]:
        return {"outcome": outcome.to_json(), "done": True}

    def _heed_memory(self) -> None:
        """End this process where the stage has taken more memory than it had asked for."""
        asked, now = self.spec.resources.memory_bytes, time.monotonic()
        if not asked or now < self._weigh_from:
            return
        process = psutil.Process()
        taken = taken_bytes(process)
        # It looks at all processes of the machine: for a hundredth of the time at most.
        self._weigh_from = now + 100 * (time.monotonic() - now)
        if taken <= asked:
            return
        with contextlib.suppress(Exception):  # Ray may be ending as well.
            self.notes.write(end_note(self.name), f"{OVER}, it took {taken / 1e9:.2f} GB")
        end_below(process)
        os._exit(TERMINATED)

    def _told_to_stop(self) -> bool:
        return self.notes.read(STOP) is not None

    def _stop(self) -> None:
        """Ask the stage to stop; only one that looks is waited for."""
        self.stopping.ask()
        if self.stopping.heeded:
            self.thread.join(STOPPING_SECONDS)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self.terminated = True
        self.stopping.ask()
        if not self.thread.is_alive():
            os._exit(TERMINATED)

    def _end_process(self) -> None:
        self._stop()
        saved = self.outcome is not None and self.outcome.status == "stopped"
        with contextlib.suppress(Exception):  # Ray may be ending as well.
            self.notes.write(end_note(self.name), SAVED if saved else "terminated")
        os._exit(TERMINATED)


def limit_gpu_memory(resources: Resources) -> None:
    """Keep a stage that asks for a share of a GPU from taking more than that of its memory.

    Ray counts shares, and holds nobody to them. More fails with torch's own error, which is of this
    stage, not of the one beside it.
    """
    if 0 < resources.gpus < 1:
        import torch

        torch.cuda.set_per_process_memory_fraction(resources.gpus)
