"""A suite's runs in MLflow while it runs: see `bench.tracker.live`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from bench.graph.nodes import Graph, Node, upstream
from bench.records.record import Record
from bench.records.settings_paths import varying_settings
from bench.run.own_folder import own_folder
from bench.run.recording import build_record
from bench.run.runner import Say
from bench.store.stage import StageSpec
from bench.store.store import Store
from bench.suite.loading import Suite
from bench.tracker.live import Live
from bench.tracker.suite_runs import About


@contextmanager
def shown_live(suite: Suite, graph: Graph, store: Store, *, uri: str, say: Say) -> Iterator[None]:
    """While the block runs the suite, MLflow at `uri` follows; `say` hears of a lasting failure."""
    with own_folder(store.root / "work", "driver-") as folder:
        live = Live(store, uri, _Watched(suite, graph, store), folder.name, say)
        live.begin()
        complete = False
        try:
            yield
            complete = True
        finally:
            live.end(complete=complete)


@dataclass
class _Watched:
    """A suite that runs; see `bench.tracker.rounds.Watched`."""

    suite: Suite
    graph: Graph
    store: Store

    @cached_property
    def about(self) -> About:
        cells = tuple(cell.key for cell in self.graph.cells)
        return About(self.suite.name, self.suite.question, cells)

    @cached_property
    def varying(self) -> set[str]:
        return varying_settings([cell.settings for cell in self.graph.cells])

    @property
    def _nodes(self) -> list[Node]:
        return upstream(*itertools.chain(*self.graph.ends))

    def specs(self) -> list[StageSpec]:
        specs = [node.spec(self.store) for node in self._nodes]
        return list({spec.name: spec for spec in specs if spec is not None}.values())

    def total(self) -> int:
        unknown = sum(node.spec(self.store) is None for node in self._nodes)
        return len(self.specs()) + unknown

    def records(self, seen: set[str]) -> Iterator[Record]:
        for cell, ends in zip(tuple(self.graph.cells), self.graph.ends, strict=False):
            if cell.key not in seen and all(end.computed(self.store) for end in ends):
                record = build_record(self.suite, cell, ends, self.store)
                if record.done:
                    yield record
