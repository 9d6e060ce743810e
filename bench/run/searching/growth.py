"""The searches of a suite that runs: each trial that ends may be followed by another one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bench.errors import UserError
from bench.graph.nodes import Graph, Node, topological
from bench.records.record import Record
from bench.run.recording import build_record
from bench.search.drawing import Tried, draw, may_draw, told_of
from bench.search.trials import Drawn, write_trials
from bench.store.store import Store
from bench.suite.cells import Cell
from bench.suite.loading import Suite
from bench.suite.searching import ArmSearch, about_search

Say = Callable[[str], None]
HasEnded = Callable[[Node], bool]
Of = tuple[Cell, tuple[Node, ...]]


# Trials by whose first results it is seen whether the metrics of a search are measured at all.
CHECKED = 20


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
    _of: dict[tuple[str, int], list[Of]] = field(default_factory=dict, init=False)
    _tried: dict[tuple[str, int], Tried] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._searches = [self._written(one) for one in self.suite.searches]
        for cell, ends in zip(self.graph.cells, self.graph.ends, strict=True):
            self._note(cell, ends)

    def more(self, has_ended: HasEnded) -> list[Node]:
        """Nodes of the cells of all trials that can be drawn by now.

        Raises:
            UserError: a trial's record lacks a metric that the search is for.
        """
        found: list[Node] = []
        for place, one in enumerate(self._searches):
            self._check_metrics(one, has_ended)
            while self._may_draw(one, has_ended):
                one, ends = self._next(one)
                self._searches[place] = one
                found += ends
        return topological(found, lambda node: node.needs)

    def _note(self, cell: Cell, ends: tuple[Node, ...]) -> None:
        if cell.search is not None:
            self._of.setdefault((cell.search.name, cell.search.trial), []).append((cell, ends))

    def _may_draw(self, one: ArmSearch, has_ended: HasEnded) -> bool:
        number = len(one.drawn)
        return number < one.search.samples and may_draw(
            one.search, number, has_ended=lambda earlier: self._has_ended(one, earlier, has_ended)
        )

    def _has_ended(self, one: ArmSearch, number: int, has_ended: HasEnded) -> bool:
        if (one.name, number) in self._tried:
            return True
        return all(
            has_ended(end) for _, ends in self._of.get((one.name, number), ()) for end in ends
        )

    def _next(self, one: ArmSearch) -> tuple[ArmSearch, list[Node]]:
        """The search with another trial, and the last stages of its cells."""
        number = len(one.drawn)
        told = told_of(one.search, number)
        tried = [
            self._judged(one, earlier) if earlier < told else Tried(drawn.settings)
            for earlier, drawn in enumerate(one.drawn)
        ]
        drawn = Drawn(draw(one.search, tried))
        try:
            self._refuse_twins(replace(one, drawn=(*one.drawn, drawn)).cells_of(number))
        except UserError as error:
            drawn = Drawn(drawn.settings, str(error))
            self.say(f"  {one.arm}: trial {number} is no valid cell: {error}")
        found = self._written(replace(one, drawn=(*one.drawn, drawn)))
        nodes: list[Node] = []
        for cell in found.cells_of(number):
            ends = self.graph.grow(cell)
            self._note(cell, ends)
            nodes += ends
        return found, nodes

    def _refuse_twins(self, cells: list[Cell]) -> None:
        twins = {cell.key: cell for cell in self.graph.cells}
        for cell in cells:
            if cell.key in twins:
                raise UserError(f"it is the same cell as '{twins[cell.key].label}'")

    def _written(self, one: ArmSearch) -> ArmSearch:
        """The search with its trials as the store has them now: another run may have drawn some."""
        about = about_search(one, suite=self.suite.name)
        drawn = write_trials(self.store, one.name, about, list(one.drawn))
        return replace(one, drawn=tuple(drawn[: len(one.drawn)]))

    def _judged(self, one: ArmSearch, number: int) -> Tried:
        """What a trial that has ended has come to: the means of its cells."""
        at = (one.name, number)
        if at not in self._tried:
            records = [build_record(self.suite, *of, self.store) for of in self._of.get(at, ())]
            self._tried[at] = judged(one, one.drawn[number], records)
        return self._tried[at]

    def _check_metrics(self, one: ArmSearch, has_ended: HasEnded) -> None:
        """Refuse metrics that are not measured as soon as a trial has results."""
        for number in range(min(CHECKED, len(one.drawn))):
            ended = self._has_ended(one, number, has_ended)
            if ended and self._judged(one, number).state == "done":
                return


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
