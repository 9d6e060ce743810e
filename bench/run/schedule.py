"""The order of a graph: what may start now, longest remaining work first. Knows no store, no clock.

List scheduling by the critical path (Graham, "Bounds on multiprocessing timing anomalies", 1969):
an item's rank is the seconds from its start to the end of the longest chain behind it.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Hashable, Iterator, Mapping
from enum import Enum
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class State(Enum):
    """Where an item of a schedule stands; `blocked`: something it needs has failed."""

    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"


LOST = {State.FAILED, State.BLOCKED}
ENDED = {State.DONE, *LOST}


class Schedule(Generic[Item]):
    """Items that need others, each started once they are done.

    Args:
        needs: what each item needs, in an order in which nothing comes before what it needs.
        seconds: that each is expected to take; they decide the order, and nothing else.
        first: items to be started before others, with all that they need.
    """

    def __init__(
        self,
        needs: Mapping[Item, Collection[Item]],
        seconds: Mapping[Item, float],
        *,
        first: Collection[Item] = (),
    ):
        self.needs: dict[Item, tuple[Item, ...]] = {}
        self.dependents: dict[Item, list[Item]] = {}
        self.states: dict[Item, State] = {}
        self.seconds: dict[Item, float] = {}
        self.rank: dict[Item, float] = {}
        self._number: dict[Item, int] = {}
        self._open: dict[Item, int] = {}
        self._left = 0
        self._early: set[Item] = set()
        self._ready: list[tuple[bool, float, int, Item]] = []
        self.add(needs, seconds, first=first)

    def add(
        self,
        needs: Mapping[Item, Collection[Item]],
        seconds: Mapping[Item, float],
        *,
        first: Collection[Item] = (),
    ) -> None:
        """Items that come to it, maybe while others run; they may need those that are there."""
        for item, of in needs.items():
            self.needs[item] = tuple(dict.fromkeys(of))
            self.dependents[item] = []
            self._number[item] = len(self._number)
            for need in self.needs[item]:
                self.dependents[need].append(item)
            self.states[item] = State.WAITING
            self._open[item] = sum(self.states[need] is not State.DONE for need in self.needs[item])
            self._left += 1
        self._early |= self._with_needs(first)
        self.reckon({**self.seconds, **seconds})
        for item in needs:
            if any(self.states[need] in LOST for need in self.needs[item]):
                self._set(item, State.BLOCKED)
            elif not self._open[item]:
                self._make_ready(item)

    def reckon(self, seconds: Mapping[Item, float]) -> None:
        """Order anew by other expectations."""
        self.seconds = dict(seconds)
        self.rank = ranks(self.dependents, self.seconds)
        self._ready = sorted(self._place(item) for *_, item in self._ready)

    @property
    def finished(self) -> bool:
        """Whether every item is done, failed or blocked."""
        return not self._left

    def ready(self) -> Iterator[Item]:
        """Items that may start, the most urgent first."""
        return (item for *_, item in tuple(self._ready))

    def start(self, item: Item) -> None:
        """An item that was ready runs."""
        assert self.states[item] is State.READY, item
        self._set(item, State.RUNNING)

    def finish(self, item: Item) -> None:
        """An item is done, whether it ran or was there already."""
        assert self.states[item] is not State.DONE, item
        self._set(item, State.DONE)
        for one in self.dependents[item]:
            self._open[one] -= 1
            if not self._open[one] and self.states[one] is State.WAITING:
                self._make_ready(one)

    def fail(self, item: Item) -> list[Item]:
        """An item failed: those behind it that cannot start any more."""
        self._set(item, State.FAILED)
        blocked, behind = [], [*self.dependents[item]]
        while behind:
            one = behind.pop()
            if self.states[one] in (State.WAITING, State.READY):
                self._set(one, State.BLOCKED)
                blocked.append(one)
                behind += self.dependents[one]
        return blocked

    def again(self, item: Item) -> None:
        """What ran has ended without a result, and is to run once more."""
        self._set(item, State.WAITING)
        if not self._open[item]:
            self._make_ready(item)

    def undo(self, item: Item) -> None:
        """What was done is gone: it is to run again, before those that need it and have not run."""
        assert self.states[item] is State.DONE, item
        for one in self.dependents[item]:
            self._open[one] += 1
            if self.states[one] is State.READY:
                self._set(one, State.WAITING)
        self.again(item)

    def seconds_left(self, left: Mapping[Item, float]) -> float:
        """Of the longest chain that has not ended; `left` of what runs, else what is expected."""
        known = {item: left.get(item, seconds) for item, seconds in self.seconds.items()}
        known |= {item: 0.0 for item, state in self.states.items() if state in ENDED}
        return max(ranks(self.dependents, known).values(), default=0.0)

    def critical_path(self) -> list[Item]:
        """The longest chain of what has not ended."""
        known = {
            item: 0.0 if self.states[item] in ENDED else seconds
            for item, seconds in self.seconds.items()
        }
        rank = ranks(self.dependents, known)
        path: list[Item] = []
        behind = [*rank]
        while behind:
            path.append(max(behind, key=rank.__getitem__))
            behind = self.dependents[path[-1]]
        return [item for item in path if self.states[item] not in ENDED]

    def _with_needs(self, items: Collection[Item]) -> set[Item]:
        found, behind = set(items), [*items]
        while behind:
            more = set(self.needs[behind.pop()]) - found
            found |= more
            behind += more
        return found

    def _place(self, item: Item) -> tuple[bool, float, int, Item]:
        return (item not in self._early, -self.rank[item], self._number[item], item)

    def _make_ready(self, item: Item) -> None:
        self._set(item, State.READY)
        bisect.insort(self._ready, self._place(item))

    def _set(self, item: Item, state: State) -> None:
        before = self.states[item]
        if before is State.READY:
            del self._ready[bisect.bisect_left(self._ready, self._place(item))]
        self._left += (before in ENDED) - (state in ENDED)
        self.states[item] = state


def ranks(
    dependents: Mapping[Item, Collection[Item]], seconds: Mapping[Item, float]
) -> dict[Item, float]:
    """Seconds of the longest chain that begins with each item; `dependents` in order of needs."""
    rank: dict[Item, float] = {}
    for item in reversed([*dependents]):
        rank[item] = seconds[item] + max((rank[one] for one in dependents[item]), default=0.0)
    return rank
