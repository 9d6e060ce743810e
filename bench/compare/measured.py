"""One metric of two groups of cells that match, and the difference between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.compare.paired import Difference, difference
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
        """Path of the seed that pairs the two."""
        return repetition_seed([*self.a.records, *self.b.records])

    @property
    def problem(self) -> str | None:
        """The reason why the metric is not compared; None where it is."""
        for group in (self.a, self.b):
            if all(self.value(record) is None for record in group.records):
                return "not measured on both sides"
        if self.metric.startswith("allocation_skill") and _candidates(self.a) != _candidates(
            self.b
        ):
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
        """B minus A, paired by seed; where they share one, over its images by a bootstrap."""
        path = self.seed
        a, b = self.a.by_seed(self.value, path=path), self.b.by_seed(self.value, path=path)
        if a is None or b is None:
            return Difference(reason="a cell has no finite value")
        higher = bool(declared_metric(self.metric).higher_is_better)
        found = difference(b, a, higher_is_better=higher)
        if not found.seeds:
            return replace(found, reason=f"no {path} in common")
        return found if len(found.seeds) > 1 else self._over_images(found, path, seed)

    def _over_images(self, one: Difference, path: str, seed: int) -> Difference:
        cells = [
            [(record, store) for record in group.records if record.setting(path) == one.seeds[0]]
            for group, store in zip((self.a, self.b), self.stores, strict=True)
        ]
        none = replace(one, interval=None)
        if [len(each) for each in cells] != [1, 1]:
            return replace(none, reason="one seed, and several cells at it")
        try:
            values = image_differences(cells[0][0], cells[1][0], self.metric, self.budget)
            over = paired_bootstrap(values, np.random.default_rng(seed))
        except ValueError as error:
            return replace(none, reason=f"one seed, and {error}")
        return replace(one, interval=over, p=over.p, reason="")


def _candidates(group: Group) -> list[tuple[int, ...] | None]:
    config = group.records[0].config
    parts = (config.policy, config.allocator)
    return [None if part is None else part.candidates for part in parts]
