"""One training step as a CUDA graph: the host launches it whole, not kernel by kernel.

A small network's step is some 700 kernels of a few microseconds, which the host cannot launch as
fast as the GPU ends them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Step = Callable[[dict[str, Tensor]], dict[str, Tensor]]

# Steps that are run kernel by kernel, so that libraries and the optimizer have allocated theirs.
WARM_UP = 3
# A capture forbids what another one does as it begins.
_CAPTURING = threading.Lock()


class StepGraph:
    """Calls `step(drawn)`, from the fourth time on as a graph that was captured of it.

    `step` must do the same with tensors of the same shapes each time, read nothing back, and write
    to what outlives it in place. What is returned is overwritten by the next call. One object
    serves one thread; several may run side by side, each on its thread's stream.
    """

    def __init__(self, step: Step):
        self.step = step
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.stream = torch.cuda.Stream()

    def __call__(self, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Results of the step on `drawn`; always of the same names, shapes and types."""
        if self.calls < WARM_UP:
            self.calls += 1
            return self._on_side_stream(dict(drawn))
        if self.graph is None:
            self._capture(drawn)
        for name, value in drawn.items():
            self.drawn[name].copy_(value, non_blocking=True)
        assert self.graph is not None
        self.graph.replay()
        return self.results

    def _on_side_stream(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        own = torch.cuda.current_stream()
        self.stream.wait_stream(own)
        with torch.cuda.stream(self.stream):
            results = self.step(drawn)
        own.wait_stream(self.stream)
        return results

    def _capture(self, drawn: Mapping[str, Tensor]) -> None:
        self.drawn = {name: value.clone() for name, value in drawn.items()}
        self.graph = torch.cuda.CUDAGraph()
        with (
            _CAPTURING,
            torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode="thread_local"),
        ):
            self.results = self.step(self.drawn)
