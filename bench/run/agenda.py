"""What a run still has to compute: the schedule of its graph, as the store and the outcomes say."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from bench.errors import UserError
from bench.graph.nodes import Node
from bench.run.healing import set_aside_damaged
from bench.run.planning.cost import Costs
from bench.run.room import Candidate, Room
from bench.run.schedule import ENDED, Schedule, State
from bench.store.stage import Outcome, StageSpec
from bench.store.store import Store

Say = Callable[[str], None]

# A stage whose inputs are found damaged each time is not tried for ever.
MOST_DAMAGED = 3
SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class Running:
    """A stage that is being computed: by this run since `began`, or by another one."""

    spec: StageSpec
    nodes: list[Node]
    began: float
    elsewhere: bool = False


@dataclass
class Agenda:
    """Stages of a graph, given out in the order of the critical path; hears how each has ended.

    Args:
        nodes: of the graph, each behind what it needs; damaged artifacts are set aside already.
        store: tells what is there.
        say: hears of what is not an end of a stage: waiting, tries after a worker's death.
        retries: how often a stage is tried again whose worker or node has died.
        ended: hears of every end; a `UserError` it raises ends the run, as a fatal outcome does.
        more: gives nodes that come to it, such as a search draws, whenever something has ended; it
            is told whether a node has, and may raise a `UserError` as well.
    """

    nodes: Sequence[Node]
    store: Store
    say: Say
    retries: int = 0
    ended: Callable[[Outcome], None] = lambda outcome: None
    more: Callable[[Callable[[Node], bool]], Sequence[Node]] = lambda has_ended: ()
    error: UserError | None = field(default=None, init=False)
    stopped: bool = field(default=False, init=False)
    outcomes: list[Outcome] = field(default_factory=list, init=False)
    running: dict[str, Running] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.costs = Costs(self.store)
        self.guessed: set[Node] = set()
        self.schedule: Schedule[Node] = Schedule({}, {})
        # What is undone later comes to it.
        self.to_do: dict[Node, None] = {}
        self._known: set[Node] = set()
        self._stopped_early: set[Node] = set()
        nodes, self.nodes = self.nodes, []
        self.add(nodes)
        self._failed: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._damaged: Counter[str] = Counter()
        self._learnt: set[str] = set()
        self._learn_from = 0.0
        self._looked = 0.0
        self._grow()

    def add(self, nodes: Sequence[Node]) -> None:
        """Nodes that come to it, maybe while others run; those that are there already stay."""
        new = [node for node in nodes if node not in self.schedule.states]
        self.nodes = [*self.nodes, *new]
        expected = self.costs.expected(new)
        self.guessed |= expected.guessed
        self.schedule.add(
            {node: node.needs for node in new},
            expected.seconds,
            # They find out whether the rest can be: for how many images there are, for one.
            first=[node for node in new if node.after or node.stage in ("manifest", "data")],
        )
        for node in new:
            if node.spec(self.store) is not None:
                self._known.add(node)
            if node.computed(self.store) is not None:
                self.schedule.finish(node)
            elif node.stopped(self.store) is not None:
                self._stop_early(node)
        # Nobody waits for what is behind a training that was stopped.
        self.to_do |= {n: None for n in new if self.schedule.states[n] not in ENDED}

    def is_done(self, node: Node) -> bool:
        """Whether the node's artifact is there."""
        return self.schedule.states[node] is State.DONE

    @property
    def finished(self) -> bool:
        """Whether nothing is left to start or to wait for."""
        return self.error is not None or self.schedule.finished

    @property
    def blocked(self) -> int:
        """How many stages cannot be computed, as something they need has failed."""
        states, lost, count = self.schedule.states, set[Node](), 0
        for node in self.nodes:
            if states[node] is State.FAILED and node not in self._stopped_early:
                lost.add(node)
            elif states[node] is State.BLOCKED and not lost.isdisjoint(node.needs):
                lost.add(node)
                count += 1
        return count

    def take(self, room: Room | None = None) -> StageSpec | None:
        """The next stage to compute now, if there is one, and room for it."""
        self._look()
        while not self.finished and not self.stopped:
            node = self._next(room)
            if node is None:
                return None
            spec = self._prepared(node)
            if spec is None:
                self._grow()
                continue
            if self.store.is_locked(spec.name):
                self._wait(spec, [node])
                continue
            # What it told before an interruption says nothing of now.
            (self.store.work(spec.stage, spec.key) / "progress.json").unlink(missing_ok=True)
            self.running[spec.name] = Running(spec, [node], time.monotonic())
            return spec
        return None

    def expected_seconds(self, name: str) -> float:
        """Seconds that a stage that was taken is expected to take."""
        return self.schedule.seconds[self.running[name].nodes[0]]

    def end(self, outcome: Outcome) -> None:
        """A stage that was taken has ended, one way or another."""
        one = self.running.pop(outcome.name)
        if outcome.status == "elsewhere":
            self._wait(one.spec, one.nodes)
            return
        if outcome.status == "stopped":
            self.stopped = True
            self._again(one.nodes)
            return
        self.outcomes.append(outcome)
        self._settle(one, outcome)
        try:
            self.ended(outcome)
        except UserError as error:
            self.error = error
        if outcome.fatal:
            self.error = UserError(outcome.error)
        self._grow()

    def lost(self, name: str, reason: str, *, remedy: str) -> None:
        """The worker of a stage that was taken has died; `remedy`: what to do where it stays so."""
        self._deaths[name] += 1
        number, one = self._deaths[name], self.running[name]
        if number <= self.retries:
            del self.running[name]
            of = f"{number} of {self.retries}"
            self.say(f"  {name}: {reason}; goes on from its checkpoint (retry {of})")
            self._again(one.nodes)
            return
        tried = f", {number} times" * (number > 1)
        message = f"{reason}{tried}; {remedy}; the same command goes on from its checkpoint"
        self.store.record_failure(one.spec.stage, one.spec.key, message)
        self.end(Outcome(name, "failed", time.monotonic() - one.began, message))

    def _grow(self) -> None:
        """Let more come to it, now that something has ended, or has been there already."""
        if self.error is not None or self.stopped:
            return
        try:
            while new := self.more(self._has_ended):
                self.add(new)
        except UserError as error:
            self.error = error

    def _has_ended(self, node: Node) -> bool:
        return self.schedule.states.get(node) in ENDED

    def _stop_early(self, node: Node) -> None:
        self._stopped_early.add(node)
        self.schedule.fail(node)

    def _next(self, room: Room | None) -> Node | None:
        if room is None:
            return next(self.schedule.ready(), None)
        chosen = room.choose(self._candidates(), time.monotonic())
        return None if chosen is None else chosen.item

    def _candidates(self) -> Iterator[Candidate[Node]]:
        for node in self.schedule.ready():
            yield Candidate(node, node.resources, self.schedule.seconds[node])

    def _prepared(self, node: Node) -> StageSpec | None:
        """What a node that is ready asks for; None where it need not run, or not yet."""
        spec = node.spec(self.store)
        if spec is None or not all(self.store.has(*of) for of in spec.inputs.values()):
            self._undo_missing(node)
            return None
        if node not in self._known:  # Its key depended on a result.
            self._known.add(node)
            set_aside_damaged([node], self.store, self.say)
        self.schedule.start(node)
        if self.store.has(spec.stage, spec.key):
            self.schedule.finish(node)
            return None
        if spec.name in self.running:  # Two nodes whose results made them one stage.
            self.running[spec.name].nodes.append(node)
            return None
        if spec.name in self._failed:
            self.schedule.fail(node)
            return None
        return spec

    def _settle(self, one: Running, outcome: Outcome) -> None:
        there = self.store.has(one.spec.stage, one.spec.key)
        if outcome.status in ("computed", "cached") and there:
            for node in one.nodes:
                self.schedule.finish(node)
            self._learn(one.nodes[0])
            return
        if outcome.status == "stopped early":
            for node in one.nodes:
                self._stop_early(node)
            return
        # Of an artifact that is there no more, nobody knows why.
        damaged = outcome.damaged or outcome.status != "failed"
        self._damaged[outcome.name] += damaged
        if damaged and self._damaged[outcome.name] < MOST_DAMAGED:
            self._again(one.nodes)
            self._undo_missing(one.nodes[0])
            return
        self._failed.add(outcome.name)
        for node in one.nodes:
            self.schedule.fail(node)

    def _learn(self, node: Node) -> None:
        """Where the cost of a kind of stage was guessed, order anew by what the first one took.

        That takes longer the more stages there are, and no more than a hundredth of the time.
        """
        if node not in self.guessed:
            return
        kind, now = self.costs.learn(node), time.monotonic()
        if kind in self._learnt or now < self._learn_from:
            return
        self._learnt.add(kind)
        expected = self.costs.expected(self.nodes)
        self.guessed = expected.guessed
        self.schedule.reckon(expected.seconds)
        self._learn_from = now + 100 * (time.monotonic() - now)

    def _again(self, nodes: Collection[Node]) -> None:
        for node in nodes:
            self.schedule.again(node)

    def _undo_missing(self, node: Node) -> None:
        """Have what a node needs computed again where it is gone, with what that needs itself."""
        for need in node.needs:
            if self.is_done(need) and need.computed(self.store) is None:
                self.schedule.undo(need)
                self.to_do[need] = None
                self._undo_missing(need)

    def _wait(self, spec: StageSpec, nodes: list[Node]) -> None:
        self.running[spec.name] = Running(spec, nodes, time.monotonic(), elsewhere=True)
        self.say(f"  {spec.name} is being computed by another run")

    def _look(self) -> None:
        """See whether other runs have ended what this one waits for."""
        now = time.monotonic()
        if now - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        for name, one in tuple(self.running.items()):
            if not one.elsewhere or self.store.is_locked(name):
                continue
            if self.store.has(one.spec.stage, one.spec.key):
                self.end(Outcome(name, "cached", now - one.began))
            else:  # It failed there, or was interrupted.
                del self.running[name]
                self._again(one.nodes)
