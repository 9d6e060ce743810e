"""One metric of two groups of cells that match, and the difference between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from bench.compare.paired import Difference, difference
from bench.compare.unseeded import Stored, is_unseeded, mean_image_differences, to_unseeded
from bench.metrics.declared import declared_metric
from bench.records.groups import Group, has_collapsed, repetition_seed
from bench.records.per_image import image_differences
from bench.records.record import Record
from bench.statistics.bootstrap import paired_bootstrap


@dataclass(frozen=True)
class Measured:
    """A metric of groups of sides A and B, at one budget of their curves or of an allocation.

    `budget` is None where the metric is of a whole allocation. `stores` are where the per-image
    tables of the two lie.
    """

    a: Group
    b: Group
    metric: str
    budget: int | None
    stores: tuple[Path, Path]

    @property
    def seed(self) -> str:
        """Path of the seed that pairs the two; of the side that has one, where the other has none.

        It is empty where nothing was trained for either.
        """
        seeded = [r for r in (*self.a.records, *self.b.records) if not is_unseeded(r)]
        return repetition_seed(seeded) if seeded else ""

    @property
    def problem(self) -> str | None:
        """The reason why the metric is not compared; None where it is."""
        for group in (self.a, self.b):
            if all(self.value(record) is None for record in group.records):
                return "not measured on both sides"
        skill, others = self.metric.startswith("allocation_skill"), _candidates(self.b)
        if skill and _candidates(self.a) != others:
            return "skill is relative to the oracle of the candidates, and they differ"
        return None

    @property
    def stands_in(self) -> bool:
        """Whether a better metric can be compared in its place."""
        better = declared_metric(self.metric).stands_in_for
        return better is not None and replace(self, metric=better).problem is None

    def value(self, record: Record) -> float | None:
        """The metric of a record; the skill of a collapsed policy is 0: a fixed length's."""
        if self.budget is not None:
            row = next(row for row in record.curve if row.budget == self.budget)
            return row.value(self.metric)
        skill = self.metric == "allocation_skill" and self.metric in record.metrics
        return 0.0 if skill and has_collapsed(record) else record.metrics.value(self.metric)

    def difference(self, seed: int) -> Difference:
        """B minus A, paired by seed; where they share one or have none, over images."""
        path, none = self.seed, self._unseeded
        if none in ("a", "b"):
            return self._to_unseeded(none, path, seed)
        a, b = self.a.by_seed(self.value, path=path), self.b.by_seed(self.value, path=path)
        if a is None or b is None:
            return Difference(reason="a cell has no finite value")
        higher = bool(declared_metric(self.metric).higher_is_better)
        found = difference(b, a, higher_is_better=higher)
        if not found.seeds:
            return replace(found, reason=f"no {path} in common")
        return found if len(found.seeds) > 1 else self._over_images(found, path, seed)

    @property
    def _unseeded(self) -> str:
        """Which side has no seed: `a`, `b`, `both`, or ``."""
        a, b = (all(map(is_unseeded, group.records)) for group in (self.a, self.b))
        return "both" if a and b else "a" * a + "b" * b

    def _to_unseeded(self, which: str, path: str, seed: int) -> Difference:
        """B minus A, of which `which` has no seed to pair by."""
        sides = {"a": (self.a, self.stores[0]), "b": (self.b, self.stores[1])}
        fixed, store = sides.pop(which)
        ((group, other),) = sides.values()
        ours, theirs = group.by_seed(self.value, path=path), fixed.by_seed(self.value, path=path)
        if ours is None or theirs is None:
            return Difference(reason="a cell has no finite value")
        cells: dict[Any, list[Stored]] = {}
        for record in group.records:
            cells.setdefault(record.setting(path), []).append((record, other))
        images = mean_image_differences(cells, (fixed.records[0], store), self.metric, self.budget)
        higher = bool(declared_metric(self.metric).higher_is_better)
        found = to_unseeded(
            ours, fmean(theirs.values()), images, path=path, higher_is_better=higher, seed=seed
        )
        return found if which == "a" else found.reversed

    def _over_images(self, one: Difference, path: str, seed: int) -> Difference:
        cells = [
            [(record, store) for record in group.records if record.setting(path) == one.seeds[0]]
            for group, store in zip((self.a, self.b), self.stores, strict=True)
        ]
        none, known = replace(one, interval=None), "one seed" if path else "no seed"
        if [len(each) for each in cells] != [1, 1]:
            return replace(none, reason=f"{known}, and several cells at it")
        try:
            values = image_differences(cells[0][0], cells[1][0], self.metric, self.budget)
            over = paired_bootstrap(values, np.random.default_rng(seed))
        except ValueError as error:
            return replace(none, reason=f"{known}, and {error}")
        return replace(one, interval=over, p=over.p, reason="")


def _candidates(group: Group) -> list[tuple[int, ...] | None]:
    config = group.records[0].config
    parts = (config.policy, config.allocator)
    return [None if part is None else part.candidates for part in parts]
