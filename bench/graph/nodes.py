"""The graph of stages: nodes that are shared by identity, and their order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.config.settings import plain
from bench.search.halving import Halving, Judged
from bench.stages import STAGES
from bench.store.stage import Resources, StageSpec
from bench.store.store import Store
from bench.suite.cells import Cell, Race


@dataclass(frozen=True, eq=False)
class Node:
    """A stage before its inputs' keys are known. Nodes are shared by identity within a graph.

    `budget_sources` are evaluations whose mean budget becomes the tokenizer's only budget. `after`
    holds nodes, by their identity, that come first though nothing of theirs goes in. With a `race`
    a training may be stopped early, by what it makes of the images of the node `judged_on`: neither
    is a part of the key.
    """

    stage: str
    config: dict[str, Any]
    inputs: dict[str, Node]
    runtime: dict[str, Any]
    resources: Resources
    budget_sources: tuple[Node, ...] = ()
    after: dict[int, Node] = field(default_factory=dict, init=False, repr=False)
    race: list[Race] = field(default_factory=list, init=False, repr=False)
    judged_on: list[Node] = field(default_factory=list, init=False, repr=False)
    _specs: dict[Store, StageSpec] = field(default_factory=dict, init=False, repr=False)

    @property
    def needs(self) -> tuple[Node, ...]:
        """All nodes that must be complete before this one can be computed."""
        return (*self.inputs.values(), *self.budget_sources, *self.after.values(), *self.judged_on)

    def spec(self, store: Store) -> StageSpec | None:
        """The stage to compute; None while a result that decides its key is missing."""
        if store not in self._specs:
            spec = self._spec(store)
            if spec is None:
                return None
            self._specs[store] = spec
        return self._specs[store]

    def _spec(self, store: Store) -> StageSpec | None:
        inputs = {}
        for name, node in self.inputs.items():
            spec = node.spec(store)
            if spec is None:
                return None
            inputs[name] = (spec.stage, spec.key)
        config = self.config
        if self.budget_sources:
            budget = self.referenced_budget(store)
            if budget is None:
                return None
            config = {**config, "tokenizer": {**config["tokenizer"], "budgets": [budget]}}
        version = STAGES[self.stage].version
        runtime = {**self.runtime, **self._race(store)}
        return StageSpec(self.stage, version, config, inputs, runtime, self.resources)

    def _race(self, store: Store) -> dict[str, Any]:
        """What a training that may be stopped early has to know for that."""
        if not self.race:
            return {}
        (race,), (images,) = self.race, (one.spec(store) for one in self.judged_on)
        assert images is not None, "the key of images waits for no result"
        of = {"name": race.name, "images": [images.stage, images.key]}
        return {"stop_early": {**of, "rule": plain(race.rule)}}

    def stopped(self, store: Store) -> Judged | None:
        """The decision that has stopped the training early, where it stands and nothing is there.

        Without its `race` it goes on.
        """
        spec = self.spec(store) if self.race else None
        if spec is None or store.has(spec.stage, spec.key):
            return None
        return Halving(store, self.race[0].name).stopped(spec.key)

    def finish_whole(self) -> None:
        """Have a training come to its end, whatever it is set against."""
        self.race.clear()
        self.judged_on.clear()
        self._specs.clear()

    def computed(self, store: Store) -> StageSpec | None:
        """The stage, if its artifact is in the store."""
        spec = self.spec(store)
        return spec if spec is not None and store.has(spec.stage, spec.key) else None

    def referenced_budget(self, store: Store) -> int | None:
        """The sources' mean budget, averaged and rounded; None until all are evaluated."""
        means: list[float] = []
        for node in self.budget_sources:
            spec = node.computed(store)
            if spec is None:
                return None
            described = store.description(spec.stage, spec.key)
            means.append(described["result"]["metrics"]["mean_tokens"])
        return round(sum(means) / len(means))


@dataclass(frozen=True)
class Banks:
    """Makers of a cell's banks: one that is not asked for is no part of the graph."""

    validation: Callable[[], Node]
    training: Callable[[], Node]
    calibration: Callable[[], Node]
    held_out: Callable[[], Node]


@dataclass
class Graph:
    """Nodes of a suite: `evaluations[i]` is the last stage of cell `i`, whatever that is.

    `extras[i]` are its diagnostics, and the stages of other packages that it asks for besides.
    `grow` adds another of the suite's `cells`, such as a search draws, and gives its stages.
    """

    evaluations: list[Node]
    extras: list[tuple[Node, ...]]
    cells: list[Cell] = field(default_factory=list)
    grow: Callable[[Cell], tuple[Node, ...]] = lambda cell: ()

    @property
    def ends(self) -> list[tuple[Node, ...]]:
        """For each cell the stages that its record is of."""
        evaluations, extras = tuple(self.evaluations), tuple(self.extras)
        # While another thread adds a cell, its extras come first.
        return [(one, *more) for one, more in zip(evaluations, extras, strict=False)]

    def order(self) -> list[Node]:
        """All nodes, each behind what it needs."""
        return topological(itertools.chain(*self.ends), lambda node: node.needs)


def upstream(*ends: Node) -> list[Node]:
    """Nodes with their inputs, and theirs, before them. Budget sources are not among them."""
    return topological(ends, lambda node: node.inputs.values())


def topological(roots: Iterable[Node], needs: Callable[[Node], Iterable[Node]]) -> list[Node]:
    """The roots and all that they need, each once, behind what it needs itself."""
    order: dict[int, Node] = {}
    behind = [(root, iter(needs(root))) for root in reversed([*roots])]
    while behind:  # A chain of stages may be longer than Python's stack.
        node, left = behind[-1]
        need = None if id(node) in order else next(left, None)
        if need is None:
            order.setdefault(id(node), node)
            behind.pop()
        elif id(need) not in order:
            behind.append((need, iter(needs(need))))
    return list(order.values())
