"""Running a suite: levels of the graph through an executor, then a record for every cell."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.errors import UserError
from bench.graph.enough_images import require_enough_images
from bench.graph.made_tokenizers import require_made
from bench.graph.nodes import Graph, Node
from bench.graph.reconstructed import require_reconstructed
from bench.records.record import Record
from bench.records.runs import now
from bench.run.executors import Executor
from bench.run.folders import tell_of_files, tell_of_folders
from bench.run.healing import set_aside_damaged
from bench.run.level import Level, Took
from bench.run.own_folder import remove_left
from bench.run.recording import build_record, require_writable_records, write_run
from bench.run.watch import Watch, lines
from bench.store.stage import Outcome, StageSpec
from bench.store.store import Store
from bench.suite.loading import Suite

Say = Callable[[str], None]

# An input that is found damaged is computed again by another pass over the levels.
PASSES = 3


@dataclass(frozen=True)
class RunResult:
    """The outcome of a run: all records, and how many stages it computed."""

    records: list[Record]
    paths: list[Path]
    computed: int

    @property
    def failed(self) -> list[Record]:
        """Records of the cells that failed."""
        return [record for record in self.records if not record.done]


def run_suite(
    suite: Suite,
    graph: Graph,
    store: Store,
    executor: Executor,
    *,
    say: Say,
    watch: Watch | None = None,
) -> RunResult:
    """Compute what is missing, level by level, and write a record per cell.

    `say` hears of every level and stage, `watch` shows how far a level is; by default, in lines.
    A failed stage fails the cells that need it, and the rest goes on.

    Raises:
        UserError: bad input, resources that cannot be had, a store that cannot be written, or a
            record there that a newer adatok-bench has written.
    """
    started = now()
    levels = graph.levels()
    watch = watch or lines(say)
    ended: list[Outcome] = []
    try:
        remove_left(store.root / "work", "ray-")  # Of a run that was killed, whatever runs now.
        tell_of_folders(levels, say)
        require_writable_records(store, suite)
        require_made(itertools.chain(*levels), store, where=f"{suite.path}: ")
        for _ in range(PASSES):
            outcomes = _pass(levels, store, executor, say, watch)
            ended += outcomes
            if not any(outcome.damaged for outcome in outcomes):
                break
    finally:
        executor.close()
    records = [
        build_record(suite, cell, ends, store)
        for cell, ends in zip(suite.cells, graph.ends, strict=True)
    ]
    paths = write_run(store, suite, records, started=started, say=say)
    tell_of_files(levels, store, say)
    return RunResult(records, paths, sum(outcome.status == "computed" for outcome in ended))


def _pass(
    levels: list[list[Node]], store: Store, executor: Executor, say: Say, watch: Watch
) -> list[Outcome]:
    """All levels once, what is damaged set aside first: the outcomes of what was missing."""
    unhashed = set_aside_damaged(itertools.chain(*levels), store, say)
    if unhashed:
        say(f"{unhashed} artifacts of an older adatok-bench had no hashes; they have them from now")
    missing = {node.stage: node.resources for node in _incomplete(levels, store)}
    if missing:
        executor.check(missing)
    took = _took(levels, store)
    ended: list[Outcome] = []
    for number, nodes in enumerate(levels, start=1):
        if ended:  # By their results, stages of this level may have become known.
            set_aside_damaged(nodes, store, say)
        specs, blocked = _missing(nodes, store)
        if not specs:
            continue
        require_enough_images(itertools.chain(*levels), store)
        require_reconstructed(itertools.chain(*levels), store)
        stages = Counter(spec.stage for spec in specs)
        counts = ", ".join(f"{count} x {stage}" for stage, count in stages.items())
        blocks = f" ({blocked} blocked)" * bool(blocked)
        say(f"level {number} of {len(levels)}: {counts}{blocks}")
        level = Level(number, len(levels), specs, store, took)
        level.begin()
        with watch(level):
            outcomes = executor.run(specs, partial(_end, level, say))
        for outcome in outcomes:
            if outcome.fatal:
                raise UserError(outcome.error)
        ended += outcomes
    return ended


def _incomplete(levels: list[list[Node]], store: Store) -> Iterator[Node]:
    """Nodes of all levels that are not in the store, those whose inputs are missing included."""
    for node in itertools.chain(*levels):
        if node.computed(store) is None:
            yield node


def _missing(level: list[Node], store: Store) -> tuple[list[StageSpec], int]:
    """Stages of a level to compute now, and how many cannot be because an input is missing."""
    specs, blocked = [], 0
    for node in level:
        if node.computed(store):
            continue
        spec = node.spec(store)
        if spec is None or not all(store.has(*needed) for needed in spec.inputs.values()):
            blocked += 1
        else:
            specs.append(spec)
    return list({spec.name: spec for spec in specs}.values()), blocked


def _took(levels: list[list[Node]], store: Store) -> Took:
    took = Took()
    for node in itertools.chain(*levels):
        spec = node.computed(store)
        if spec is not None:
            took.add(spec.stage, store.description(spec.stage, spec.key)["seconds"])
    return took


def _end(level: Level, say: Say, outcome: Outcome) -> None:
    level.end(outcome)
    say(_sentence(outcome))


def _sentence(outcome: Outcome) -> str:
    tail = f": {outcome.error}" if outcome.error else ""
    return f"  {outcome.name} {outcome.status} after {outcome.seconds:.1f} s{tail}"
