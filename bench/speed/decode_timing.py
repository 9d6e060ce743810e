"""Timing of decoding: what a step costs at each position, and runs of modes set against it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from adatok_core.generator.schedule import Decoded
from bench.store.stage import peak_memory_bytes


def cost_by_position(decoded: Decoded) -> np.ndarray:
    """Seconds `[P]` of a step at each position, from a traced run of sequences in step.

    Raises:
        ValueError: sequences stood at different positions, or slots were idle.
    """
    costs: dict[int, list[float]] = {}
    for step in decoded.trace:
        if len({*step.positions}) != 1 or step.active < len(step.positions):
            raise ValueError("a cost by position needs sequences of one length, all in step")
        costs.setdefault(step.positions[0], []).append(step.seconds)
    return np.array([np.median(costs[position]) for position in sorted(costs)])


def ideal_seconds(cost: np.ndarray, steps: Sequence[int], *, slots: int) -> float:
    """Seconds if every image paid for its own positions only, with all slots at work all the time.

    An image that takes `s` steps costs the sum of `cost[p] / slots` over `p < s`, where `cost[p]`
    is the measured time of a step of `slots` sequences that all stand at position `p`. No slot
    waits for another one, none is idle at the end of the queue, and choosing which request comes
    next takes no time. A position beyond those measured costs as much as the last.
    """
    cost = np.pad(cost, (0, max(0, max(steps) - len(cost))), mode="edge")
    return float(np.cumsum(cost)[np.asarray(steps) - 1].sum() / slots)


def spread(values: ArrayLike) -> dict[str, float]:
    """Median and quartiles."""
    low, median, high = np.quantile(np.asarray(values, dtype=np.float64), [0.25, 0.5, 0.75])
    return {"median": float(median), "quartile_low": float(low), "quartile_high": float(high)}


@dataclass(frozen=True)
class PeakMemory:
    """Largest memory since it was made: of the device, or resident in this process.

    A kernel that cannot forget an earlier peak of the process leaves that one standing.
    """

    device: str

    @staticmethod
    def begin(device: str) -> PeakMemory:
        """Forget earlier peaks."""
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            with contextlib.suppress(OSError):  # Not Linux, or not permitted.
                Path("/proc/self/clear_refs").write_text("5")
        return PeakMemory(device)

    def read(self) -> int:
        """Bytes."""
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated()
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
            fields = dict(line.split(":", 1) for line in lines)
            return int(fields["VmHWM"].split()[0]) * 1024
        except (OSError, KeyError):
            return peak_memory_bytes()
