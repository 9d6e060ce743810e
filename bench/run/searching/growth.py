"""The searches of a suite that runs: each trial that ends may be followed by another one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bench.errors import UserError
from bench.graph.nodes import Graph, Node
from bench.records.record import Record
from bench.run.recording import build_record
from bench.search.drawing import Tried, draw, may_draw
from bench.search.trials import Drawn, write_trials
from bench.store.store import Store
from bench.suite.loading import Suite
from bench.suite.searching import ArmSearch, about_search

Say = Callable[[str], None]


@dataclass
class Growth:
    """Draws the trials of a suite's searches, and adds their cells to its graph.

    Trials lie in the store before anything of them runs, so that the same command goes on with the
    same ones. What a trial is drawn from does not depend on how fast others are.
    """

    suite: Suite
    graph: Graph
    store: Store
    say: Say
    _searches: list[ArmSearch] = field(init=False)
    _tried: dict[tuple[str, int], Tried] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._searches = [self._written(one) for one in self.suite.searches]

    def more(self, has_ended: Callable[[Node], bool]) -> list[Node]:
        """Nodes of the cells of all trials that can be drawn by now.

        Raises:
            UserError: a trial's record lacks a metric that the search is for.
        """
        ends: list[Node] = []
        for place, one in enumerate(self._searches):
            while self._may_draw(one, has_ended):
                one, more = self._next(one, has_ended)
                self._searches[place] = one
                ends += more
        return Graph(ends, [() for _ in ends]).order()

    def _may_draw(self, one: ArmSearch, has_ended: Callable[[Node], bool]) -> bool:
        number = len(one.drawn)
        return number < one.search.samples and may_draw(
            one.search, number, has_ended=lambda earlier: self._has_ended(one, earlier, has_ended)
        )

    def _has_ended(self, one: ArmSearch, number: int, has_ended: Callable[[Node], bool]) -> bool:
        if (one.name, number) in self._tried:
            return True
        return all(has_ended(end) for _, ends in self._cells(one, number) for end in ends)

    def _next(
        self, one: ArmSearch, has_ended: Callable[[Node], bool]
    ) -> tuple[ArmSearch, list[Node]]:
        """The search with another trial, and the last stages of its cells."""
        number = len(one.drawn)
        tried = [
            self._judged(one, earlier)
            if self._has_ended(one, earlier, has_ended)
            else Tried(drawn.settings)
            for earlier, drawn in enumerate(one.drawn)
        ]
        drawn = Drawn(draw(one.search, tried))
        found = replace(one, drawn=(*one.drawn, drawn))
        try:
            cells = found.cells_of(number)
        except UserError as error:
            refused = Drawn(drawn.settings, str(error))
            found, cells = replace(one, drawn=(*one.drawn, refused)), []
            self.say(f"  {one.arm}: trial {number} is no valid cell: {error}")
        found = self._written(found)
        return found, [end for cell in cells for end in self.graph.grow(cell)]

    def _written(self, one: ArmSearch) -> ArmSearch:
        about = about_search(one, suite=self.suite.name)
        drawn = write_trials(self.store, one.name, about, list(one.drawn))
        return replace(one, drawn=tuple(drawn[: len(one.drawn)]))

    def _cells(self, one: ArmSearch, number: int) -> list[tuple[Record, tuple[Node, ...]]]:
        """Records, as they stand, and last stages of the cells of a trial."""
        return [
            (build_record(self.suite, cell, ends, self.store), ends)
            for cell, ends in zip(self.graph.cells, self.graph.ends, strict=True)
            if cell.search and (cell.search.name, cell.search.trial) == (one.name, number)
        ]

    def _judged(self, one: ArmSearch, number: int) -> Tried:
        """What a trial that has ended has come to: the means of its cells."""
        known = self._tried.get((one.name, number))
        if known is None:
            records = [record for record, _ in self._cells(one, number)]
            known = judged(one, one.drawn[number], records)
            self._tried[one.name, number] = known
        return known


def judged(one: ArmSearch, drawn: Drawn, records: list[Record]) -> Tried:
    """What a trial has come to, by the records of its cells.

    Raises:
        UserError: a record with results lacks a metric.
    """
    if any(record.stopped for record in records):
        return Tried(drawn.settings, "stopped")
    if not records or not all(record.done for record in records):
        return Tried(drawn.settings, "failed")
    values = []
    for name in one.search.metric:
        found = [record.metrics.value(name) for record in records]
        if None in found:
            there = ", ".join(sorted(records[0].metrics))
            raise UserError(
                f"arm '{one.arm}': search.metric: no cell has '{name}'; there are {there}"
            )
        values.append(math.fsum(value for value in found if value is not None) / len(found))
    sound = all(map(math.isfinite, values))
    return Tried(drawn.settings, "done" if sound else "failed", tuple(values) if sound else ())
