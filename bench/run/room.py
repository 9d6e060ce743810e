"""Room for what a schedule has ready: CPUs, GPUs, memory, who goes first, when all is done."""

from __future__ import annotations

import heapq
import math
import operator
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple

from bench.run.schedule import Item, Schedule
from bench.store.stage import Resources

_SLACK = 1e-9  # Shares of a GPU are no exact numbers.


class Candidate(NamedTuple, Generic[Item]):
    """Something that could start: what it asks for, and the seconds it is expected to take."""

    item: Item
    asks: Resources
    seconds: float


class Amounts(NamedTuple):
    """CPUs, GPUs, bytes."""

    cpus: float
    gpus: float
    memory: float


@dataclass
class Room:
    """CPUs, GPUs, bytes of memory where they are counted, and who has them.

    One that asks for more than there is gets all there is.
    """

    cpus: float
    gpus: float
    memory: float = math.inf
    _taken: dict[Hashable, tuple[Amounts, float]] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether nothing more can start: everything takes a CPU."""
        return self._free()[0] < 1 - _SLACK

    def take(self, candidate: Candidate[Item], now: float) -> None:
        """Give it what it asks for."""
        self._taken[candidate.item] = (self._wants(candidate.asks), now + candidate.seconds)

    def give_back(self, item: Hashable) -> None:
        """An item has ended."""
        del self._taken[item]

    def choose(self, candidates: Iterable[Candidate[Item]], now: float) -> Candidate[Item] | None:
        """The first candidate there is room for.

        Where a more urgent one waits for room, others go before it only as far as they leave it
        what it asks for at the moment it is expected to get it (EASY backfilling, Lifka 1995).
        """
        if self.full:
            return None
        free, held = self._free(), None
        for candidate in candidates:
            wants = self._wants(candidate.asks)
            if not _fits(wants, free):
                held = held or self._held_for(wants)
            elif held is None or now + candidate.seconds <= held[0] or _fits(wants, held[1]):
                return candidate
        return None

    def _wants(self, asks: Resources) -> Amounts:
        wanted = (asks.cpus, asks.gpus, asks.memory_bytes)
        return Amounts(*map(min, wanted, (self.cpus, self.gpus, self.memory)))

    def _free(self) -> Amounts:
        taken = [one for one, _ in self._taken.values()]
        cpus, gpus, memory = (math.fsum(one[i] for one in taken) for i in range(3))
        return Amounts(self.cpus - cpus, self.gpus - gpus, self.memory - memory)

    def _held_for(self, wants: Amounts) -> tuple[float, Amounts]:
        """When there will be room for it, and what will be left beside it."""
        free = self._free()
        for more, end in sorted(self._taken.values(), key=lambda one: one[1]):
            free = Amounts(*map(operator.add, free, more))
            if _fits(wants, free):
                return end, Amounts(*map(operator.sub, free, wants))
        return math.inf, Amounts(*map(operator.sub, free, wants))  # A node has gone meanwhile.


def _fits(wants: Amounts, free: Amounts) -> bool:
    return all(one <= there + _SLACK for one, there in zip(wants, free, strict=True))


class Span(NamedTuple):
    """Seconds from the beginning until an item starts, and until it ends."""

    start: float
    end: float


def simulate(
    schedule: Schedule[Item], asks: Mapping[Item, Resources], room: Room
) -> dict[Item, Span]:
    """When each item of a schedule would run that took the seconds it is expected to take."""
    spans: dict[Item, Span] = {}
    running: list[tuple[float, int, Item]] = []
    now = 0.0
    while True:
        ready = (Candidate(item, asks[item], schedule.seconds[item]) for item in schedule.ready())
        chosen = room.choose(ready, now)
        if chosen is None:
            if not running:
                return spans
            now, _, item = heapq.heappop(running)
            room.give_back(item)
            schedule.finish(item)
            continue
        item = chosen.item
        room.take(chosen, now)
        schedule.start(item)
        spans[item] = Span(now, now + chosen.seconds)
        heapq.heappush(running, (now + chosen.seconds, len(spans), item))
