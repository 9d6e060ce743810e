"""The load of a stage on the machine while it runs: samples of this process, few and cheap."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

SECONDS_BETWEEN, MOST_SAMPLES = 5.0, 200

Samples = dict[str, list[float]]


@contextmanager
def sampled(*, every: float = SECONDS_BETWEEN, most: int = MOST_SAMPLES) -> Iterator[Samples]:
    """Columns that fill while the block runs, the last values when it ends.

    `seconds` since the block began, `cpu_percent` of one CPU since the sample before (200: two CPUs
    busy), `resident_memory_bytes`; where this process computes on a GPU, also `gpu_memory_bytes`
    that PyTorch holds there, and `gpu_percent` of the GPU's time if NVIDIA's bindings are there.
    From `most` samples on every other one is dropped, and the pauses double. A machine that cannot
    be asked gives no samples; the block never fails of it.
    """
    sampler = _Sampler(every, most)
    thread = threading.Thread(target=sampler.run, name="machine samples", daemon=True)
    thread.start()
    try:
        yield sampler.samples
    finally:
        sampler.stop.set()
        thread.join()


class _Sampler:
    def __init__(self, every: float, most: int):
        self.every, self.most = every, most
        self.samples: Samples = {}
        self.stop = threading.Event()

    def run(self) -> None:
        with contextlib.suppress(Exception):  # A machine that tells nothing is no reason to fail.
            import psutil

            process = psutil.Process()
            process.cpu_percent()  # Percentages are of the time since the call before.
            began = time.monotonic()
            while not self.stop.wait(self.every):
                self._add(process, time.monotonic() - began)
            # The last one tells of short stages; just after another it would say nothing new.
            elapsed = time.monotonic() - began
            if not self.samples or elapsed - self.samples["seconds"][-1] >= 1:
                self._add(process, elapsed)

    def _add(self, process: psutil.Process, seconds: float) -> None:
        row = {
            "seconds": round(seconds, 1),
            "cpu_percent": process.cpu_percent(),
            "resident_memory_bytes": process.memory_info().rss,
            **_gpu(),
        }
        before = len(self.samples.get("seconds", []))
        for name in {**self.samples, **row}:
            # Where a GPU says nothing, or nothing yet, it is 0: columns stay of one length.
            self.samples.setdefault(name, [0.0] * before).append(row.get(name, 0.0))
        if len(self.samples["seconds"]) >= self.most:
            for column in self.samples.values():
                del column[::2]
            self.every *= 2


def _gpu() -> dict[str, float]:
    """Only where this process uses one: nothing is initialised, and no call waits for the GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    found = {"gpu_memory_bytes": float(torch.cuda.memory_reserved())}
    with contextlib.suppress(Exception):  # NVIDIA's bindings are no dependency.
        found["gpu_percent"] = float(torch.cuda.utilization())
    return found
