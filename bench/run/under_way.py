"""A run while it goes on: which stages run, how far they are, and how long the rest will take."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import NamedTuple

from bench.graph.nodes import Node
from bench.run.agenda import Agenda, Running
from bench.run.schedule import ENDED
from bench.store.progress import Told, read_progress


class Seen(NamedTuple):
    """A stage that runs: what it tells, if it tells anything, and the seconds it needs still."""

    told: Told | None
    seconds_left: float | None


class Left(NamedTuple):
    """Seconds until all is done; `more`: the cost of some stages is not known, nor in there."""

    seconds: float
    more: bool


@dataclass(frozen=True)
class UnderWay:
    """A run, for whoever watches it from another thread.

    `room`: CPUs and GPUs that there are, or None where one stage runs at a time.
    """

    agenda: Agenda
    room: tuple[float, float] | None

    @property
    def total(self) -> int:
        """How many stages there were to compute."""
        return len(self.agenda.to_do)

    @property
    def ended(self) -> int:
        """How many of them need no more, as they are done, failed or blocked."""
        states = self.agenda.schedule.states
        return sum(states[node] in ENDED for node in tuple(self.agenda.to_do))

    def running(self) -> dict[str, Seen]:
        """Stages by name that are being computed, here or by another run."""
        return {name: self._seen(one) for name, one in tuple(self.agenda.running.items())}

    def left(self, running: dict[str, Seen]) -> Left:
        """Along the critical path, and no less than the work left takes on all CPUs and GPUs."""
        agenda = self.agenda
        seconds: dict[Node, float] = dict.fromkeys(agenda.guessed, 0.0)
        for name, one in tuple(agenda.running.items()):
            seen = running.get(name)
            if seen is not None and seen.seconds_left is not None:
                seconds |= dict.fromkeys(one.nodes, seen.seconds_left)
        schedule = agenda.schedule
        open_ = [node for node in tuple(agenda.to_do) if schedule.states[node] not in ENDED]
        need = {node: seconds.get(node, schedule.seconds[node]) for node in open_}
        known = {node for node in open_ if node not in agenda.guessed or seconds[node]}
        if self.room is None:
            at_least = math.fsum(need.values())
        else:
            cpus, gpus = self.room
            at_least = math.fsum(need[node] * node.resources.cpus for node in open_) / cpus
            if gpus:
                busy = math.fsum(need[node] * node.resources.gpus for node in open_)
                at_least = max(at_least, busy / gpus)
        return Left(max(at_least, schedule.seconds_left(seconds)), len(known) < len(open_))

    def _seen(self, one: Running) -> Seen:
        told = read_progress(self.agenda.store.work(one.spec.stage, one.spec.key))
        if told is not None and told.seconds_left is not None:
            return Seen(told, told.seconds_left)
        node = one.nodes[0]
        if node in self.agenda.guessed or one.elsewhere:
            return Seen(told, None)
        left = self.agenda.schedule.seconds[node] - (time.monotonic() - one.began)
        return Seen(told, left if left > 0 else None)  # It takes longer than expected.
