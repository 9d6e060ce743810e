"""What scheduling costs: the driver's time on a large graph, and the time until a suite is done.

`driver`: a graph of 2,000 stages that compute nothing; the time that the driver takes besides
computing, for each stage, must be below 5 ms. `makespan`: one long and fifteen short chains of
stages that sleep, through the real Ray executor on two CPUs; from the first start to the last end
must be within 1.1x of what list scheduling would take if nothing else took time. Run from the
repository's root: `python -m experiments.benchmarks.scheduling driver makespan`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.graph.nodes import Node
from bench.run.agenda import Agenda
from bench.run.cluster.executor import RayExecutor
from bench.run.planning.cost import Costs, Expected
from bench.run.room import Room, simulate
from bench.run.schedule import Schedule
from bench.stages import STAGES
from bench.store.stage import Outcome, Resources, compute
from bench.store.store import Store

MOST_MILLISECONDS, MOST_FACTOR = 5.0, 1.1
STAGE = '''
import time

from bench.stages import Stage


def run(context):
    """Sleep as long as the settings say."""
    time.sleep(context.spec.config["seconds"])
    (context.work / "slept").write_text("yes")
    return {}


STAGE = Stage(name="sleeper", version=1, run=run)
'''
CPUS = 2


def install(folder: Path) -> None:
    """Make the stage `sleeper` known here and in Ray's workers, as an installed package would."""
    about = folder / "sleeper-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "sleeper_stage.py").write_text(STAGE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sleeper\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[adatok_bench.stages]\nsleeper = sleeper_stage:STAGE\n"
    )
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    sys.path.insert(0, str(folder))
    if "sleeper" not in STAGES:
        STAGES.add("sleeper", "sleeper_stage:STAGE")


def sleeper(name: str, seconds: float, *needs: Node) -> Node:
    """A stage that sleeps."""
    inputs = {f"input{number}": need for number, need in enumerate(needs)}
    return Node("sleeper", {"name": name, "seconds": seconds}, inputs, {}, Resources())


def chain(name: str, length: int, seconds: float) -> list[Node]:
    """Stages that need each other."""
    nodes: list[Node] = []
    for number in range(length):
        nodes.append(sleeper(f"{name}-{number}", seconds, *nodes[-1:]))
    return nodes


def driver(count: int) -> None:
    """Compute a layered graph of stages that take no time."""
    layer = count // 20
    nodes: list[Node] = []
    for number in range(count):
        first = max(0, number - layer)
        needs = [nodes[first + (number * step) % layer] for step in (1, 7)] if first else []
        nodes.append(sleeper(f"{number}", 0.0, *dict.fromkeys(needs)))
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(folder)
        computing = 0.0
        began = time.perf_counter()
        agenda = Agenda(nodes, store, print)
        prepared = time.perf_counter() - began
        order: list[str] = []
        while not agenda.finished:
            spec = agenda.take(Room(CPUS, 0))
            assert spec is not None
            started = time.perf_counter()
            outcome: Outcome = compute(store, spec, STAGES["sleeper"].compute)
            computing += time.perf_counter() - started
            order.append(spec.name)
            agenda.end(outcome)
        took = time.perf_counter() - began - computing
        assert len(order) == len(set(order)) == count
        assert all(agenda.is_done(node) for node in nodes)
    each = 1000 * took / count
    print(
        f"driver: {count} stages, {each:.2f} ms each besides computing "
        f"({prepared:.2f} s of it before the first), {computing:.1f} s of computing"
    )
    assert each < MOST_MILLISECONDS, f"more than {MOST_MILLISECONDS} ms a stage"


def makespan(scale: float) -> None:
    """One long and fifteen short chains through Ray, with costs that are known beforehand."""
    chains = [chain("long", 10, 8.0 * scale)]
    chains += [chain(f"short{number}", 2, 2.5 * scale) for number in range(15)]
    nodes = [node for one in chains for node in one]
    seconds = {node: node.config["seconds"] for node in nodes}
    bound = _bound(nodes, seconds)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, _costs(seconds):
        install(Path(folder) / "site")
        store = Store.open(Path(folder) / "store")
        ends: dict[str, float] = {}

        def ended(outcome: Outcome) -> None:
            ends[outcome.name] = time.monotonic()
            assert outcome.status == "computed", outcome

        executor = RayExecutor(store)
        began = time.monotonic()
        try:
            executor.check({"sleeper": Resources()})
            agenda = Agenda(nodes, store, print, ended=ended)
            first = time.monotonic()
            executor.run(agenda)
        finally:
            executor.close()
        starts = min(
            ends[node.spec(store).name] - store.description(*_of(node, store))["seconds"]
            for node in nodes
        )
        took = max(ends.values()) - starts
    print(
        f"makespan: {len(nodes)} stages on {CPUS} CPUs: {took:.1f} s from the first start to the "
        f"last end, {took / bound:.3f} x the list-scheduling bound of {bound:.1f} s; Ray's start "
        f"{first - began:.1f} s, its first worker {starts - first:.1f} s"
    )
    assert took <= MOST_FACTOR * bound, f"more than {MOST_FACTOR} x the bound"


def _of(node: Node, store: Store) -> tuple[str, str]:
    spec = node.spec(store)
    assert spec is not None
    return spec.stage, spec.key


def _bound(nodes: list[Node], seconds: dict[Node, float]) -> float:
    schedule = Schedule({node: node.needs for node in nodes}, seconds)
    spans = simulate(schedule, dict.fromkeys(nodes, Resources()), Room(CPUS, 0))
    return max(span.end for span in spans.values())


class _costs:
    """As if every stage had been measured before, as a suite's second run with other seeds has."""

    def __init__(self, seconds: dict[Node, float]):
        self.seconds = seconds

    def __enter__(self) -> None:
        self.before: Callable[..., Any] = Costs.expected
        Costs.expected = lambda costs, nodes: Expected(self.seconds, set())  # type: ignore[method-assign]

    def __exit__(self, *about: object) -> None:
        Costs.expected = self.before  # type: ignore[method-assign]


def main() -> None:
    """Run the benchmarks that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", choices=["driver", "makespan"])
    parser.add_argument("--stages", type=int, default=2000)
    parser.add_argument("--scale", type=float, default=1.0, help="of the seconds slept")
    options = parser.parse_args()
    if "driver" in options.what:
        with tempfile.TemporaryDirectory() as folder:
            install(Path(folder) / "site")
            driver(options.stages)
    if "makespan" in options.what:
        makespan(options.scale)


if __name__ == "__main__":
    main()
