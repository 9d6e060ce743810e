"""Running a suite: the stages of its graph through an executor, a record for every cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.graph.enough_images import require_enough_images
from bench.graph.made_tokenizers import require_made
from bench.graph.nodes import Graph, Node
from bench.graph.reconstructed import require_reconstructed
from bench.records.record import Record
from bench.records.runs import now
from bench.run.agenda import Agenda
from bench.run.cluster.session import remove_dead
from bench.run.executors import Executor
from bench.run.folders import tell_of_files, tell_of_folders
from bench.run.healing import set_aside_damaged
from bench.run.own_folder import remove_left
from bench.run.planning.memory import require_memory_here
from bench.run.recording import build_record, require_writable_records, write_run
from bench.run.searching.growth import Growth
from bench.run.under_way import UnderWay
from bench.run.watch import Watch, lines
from bench.store.stage import Outcome
from bench.store.store import Store
from bench.suite.cells import Cell
from bench.suite.loading import Suite

Say = Callable[[str], None]

# Stages whose results tell whether the rest can be.
TELLING = ("data-", "reconstructions-")


@dataclass(frozen=True)
class RunResult:
    """The outcome of a run: all records, and how many stages it computed."""

    records: list[Record]
    paths: list[Path]
    computed: int

    @property
    def failed(self) -> list[Record]:
        """Records of the cells that failed: those stopped early have not."""
        return [record for record in self.records if not (record.done or record.stopped)]

    @property
    def stopped(self) -> list[Record]:
        """Records of the cells whose tokenizer's training was stopped early."""
        return [record for record in self.records if record.stopped]


def run_suite(
    suite: Suite,
    graph: Graph,
    store: Store,
    executor: Executor,
    *,
    say: Say,
    watch: Watch | None = None,
    observers: Sequence[Watch] = (),
) -> RunResult:
    """Compute what is missing, longest remaining work first, and write a record per cell.

    `say` hears of every stage, `watch` shows how far the run is; by default, in lines. `observers`
    are entered as `watch` is. A failed stage fails the cells that need it, and the rest goes on.

    Raises:
        UserError: bad input, resources that cannot be had, a store that cannot be written, or a
            record there that a newer adatok-bench has written.
        KeyboardInterrupt: a stage was asked to stop, and has.
    """
    started = now()
    nodes = graph.order()
    try:
        remove_left(store.root / "work", "ray-")  # Of a run that was killed, whatever runs now.
        remove_dead()
        tell_of_folders(nodes, say)
        require_writable_records(store, suite)
        require_made(nodes, store, where=f"{suite.path}: ")
        watches = [watch or lines(say), *observers]
        growth = Growth(suite, graph, store, say)
        outcomes = _compute(nodes, growth, store, executor, say, watches)
    finally:
        executor.close()
    records = [build_record(suite, *of, store) for of in _in_order(suite, graph)]
    paths = write_run(store, suite, records, started=started, say=say)
    tell_of_files(nodes, store, say)
    return RunResult(records, paths, sum(outcome.status == "computed" for outcome in outcomes))


def _in_order(suite: Suite, graph: Graph) -> list[tuple[Cell, tuple[Node, ...]]]:
    """Cells with their last stages, those that came while it ran beside the others of their arm."""
    arms = {arm: place for place, arm in enumerate(dict.fromkeys(c.arm for c in suite.cells))}
    pairs = zip(graph.cells, graph.ends, strict=True)
    return sorted(pairs, key=lambda pair: arms[pair[0].arm])


def _compute(
    nodes: list[Node],
    growth: Growth,
    store: Store,
    executor: Executor,
    say: Say,
    watches: Sequence[Watch],
) -> list[Outcome]:
    """All that is missing, what is damaged set aside first: how each stage has ended."""
    unhashed = set_aside_damaged(nodes, store, say)
    if unhashed:
        say(f"{unhashed} artifacts of an older adatok-bench had no hashes; they have them from now")

    def ended(outcome: Outcome) -> None:
        say(_sentence(outcome))
        if outcome.name.startswith(TELLING):
            require_possible(nodes, store)

    def more(has_ended: Callable[[Node], bool]) -> list[Node]:
        found = growth.more(has_ended)
        known = set(nodes if found else ())
        new = [node for node in found if node not in known]
        set_aside_damaged(new, store, say)
        nodes.extend(new)
        return new

    retries = growth.suite.retries
    agenda = Agenda(nodes, store, say, retries=retries, ended=ended, more=more)
    if agenda.error:
        raise agenda.error
    if not agenda.to_do:
        return []
    executor.check({node.stage: node.resources for node in agenda.to_do})
    require_memory_here(agenda.costs.planned(node) for node in agenda.to_do)
    require_possible(nodes, store)
    stages = Counter(node.stage for node in agenda.to_do)
    counts = ", ".join(f"{count} x {stage}" for stage, count in stages.items())
    say(f"to compute: {counts}")
    with ExitStack() as watched:
        for watch in watches:
            watched.enter_context(watch(UnderWay(agenda, executor.room)))
        executor.run(agenda)
    if agenda.error:
        raise agenda.error
    if agenda.stopped:
        raise KeyboardInterrupt
    if agenda.blocked:
        say(f"{agenda.blocked} stages not computed, as what they need has failed")
    return agenda.outcomes


def require_possible(nodes: list[Node], store: Store) -> None:
    """Refuse (`UserError`) what the images and files that are known cannot be enough for."""
    require_enough_images(nodes, store)
    require_reconstructed(nodes, store)


def _sentence(outcome: Outcome) -> str:
    tail = f": {outcome.error}" if outcome.error else ""
    return f"  {outcome.name} {outcome.status} after {outcome.seconds:.1f} s{tail}"
