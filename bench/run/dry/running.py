"""Running a suite cut to a dry run, a stage after the other, and what each one took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.graph.nodes import Graph, Node, upstream
from bench.run.executors import compute_with_threads
from bench.run.recording import build_record
from bench.stages import STAGES
from bench.store.progress import duration
from bench.store.stage import Outcome, StageFunction
from bench.store.stopping import Stopping, stopped_by_signals
from bench.store.store import Store
from bench.suite.loading import Suite

Say = Callable[[str], None]
GB = 1e9


@dataclass(frozen=True)
class DryResult:
    """What failed of a dry run, in words; stages, seconds, and the most memory that one took."""

    problems: tuple[str, ...]
    stages: int
    seconds: float
    peak_bytes: float


def run_dry(suite: Suite, graph: Graph, store: Store, *, tell: Say) -> DryResult:
    """Compute every stage of a suite that was cut to a dry run, and make its records.

    `tell` hears of each stage: seconds, the most memory, and the arm that it is of first. What
    needs a stage that failed is left out.

    Raises:
        KeyboardInterrupt: it was asked to stop.
    """
    began, stages, peak = time.perf_counter(), 0, 0.0
    problems: list[str] = []
    arms = _arms(suite, graph)
    stopping = Stopping()
    with stopped_by_signals(stopping):
        for node in graph.order():
            spec = node.spec(store)
            if spec is None or not all(need.computed(store) for need in node.needs):
                tell(f"  {node.stage:<12} left out: what it needs has failed: {arms[node]}")
                continue
            if node.computed(store):
                continue
            _forget_peak()
            outcome = compute_with_threads(store, spec, stopping, _dry(node.stage))
            if stopping.asked:
                raise KeyboardInterrupt
            stages += 1
            took = _told(node, outcome, store)
            peak = max(peak, took.memory)
            tell(f"{took.line}: {arms[node]}")
            if outcome.status == "failed":
                problems.append(f"{node.stage} of {arms[node]}: {outcome.error}")
    if not problems:
        problems = _records(suite, graph, store)
    return DryResult(tuple(problems), stages, time.perf_counter() - began, peak)


@dataclass(frozen=True)
class _Took:
    line: str
    memory: float


def _told(node: Node, outcome: Outcome, store: Store) -> _Took:
    if outcome.status == "failed":
        return _Took(f"  {node.stage:<12} failed after {duration(outcome.seconds)}", 0.0)
    spec = node.computed(store)
    assert spec is not None
    found = store.description(spec.stage, spec.key)
    peaks = [found["peak_memory_bytes"], *found["result"].get("rank_peak_memory_bytes", ())]
    memory = float(max(peaks))
    on_gpu = max(found["system"].get("gpu_memory_bytes", [0.0]), default=0.0)
    told = f"{memory / GB:5.2f} GB" + f", {on_gpu / GB:.2f} GB of the GPU" * bool(on_gpu)
    return _Took(f"  {node.stage:<12}{outcome.seconds:7.1f} s  {told}", memory)


def _dry(stage: str) -> StageFunction:
    return lambda context: STAGES[stage].compute(replace(context, dry=True))


def _arms(suite: Suite, graph: Graph) -> dict[Node, str]:
    """The first cell that needs each node."""
    found: dict[Node, str] = {}
    for cell, ends in zip(suite.cells, graph.ends, strict=True):
        for node in _all_needs(ends):
            found.setdefault(node, cell.label)
    return found


def _all_needs(ends: Sequence[Node]) -> list[Node]:
    nodes = upstream(*ends)
    return [*(after for node in nodes for after in node.after.values()), *nodes]


def _records(suite: Suite, graph: Graph, store: Store) -> list[str]:
    """What keeps cells from a record; none is written."""
    records: list[Any] = [
        build_record(suite, cell, ends, store)
        for cell, ends in zip(suite.cells, graph.ends, strict=True)
    ]
    return [f"record of {one.label}: {one.error}" for one in records if not one.done]


def _forget_peak() -> None:
    """Let the kernel measure the largest resident set anew, where it can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
