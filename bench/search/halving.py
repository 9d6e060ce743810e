"""Asynchronous successive halving: which trainings of an arm go on, as the store remembers it.

Li et al., "A System for Massively Parallel Hyperparameter Tuning" (2020), in the form that stops:
a training that reaches a rung goes on if it is among the best `1 / reduction` of those that have
reached it so far, and the best one always does. Whoever trains decides, under a lock of the store,
so that all executors have one rule, and every decision stands from then on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

from bench.files import sealed, unsealed, write_json
from bench.store.store import Store


@dataclass(frozen=True)
class Judged:
    """A training of the stage `key` at a rung: its value there, and whether it went on."""

    key: str
    step: int
    value: float
    goes_on: bool


def is_among_best(
    value: float, others: list[float], *, reduction: float, higher_is_better: bool
) -> bool:
    """Whether a value is among the best of all, those of `others` that are as good before it."""
    sign = -1 if higher_is_better else 1
    rank = sum(sign * other <= sign * value for other in others)
    return rank < max(1, math.floor((len(others) + 1) / reduction))


@dataclass(frozen=True)
class Halving:
    """The decisions of one arm, in `halving/<name>.json` of the store, in order."""

    store: Store
    name: str

    def judged(self) -> list[Judged]:
        """All of them; none where nothing was decided, or the file is torn."""
        try:
            found = unsealed((self.store.root / "halving" / f"{self.name}.json").read_bytes())
            return [Judged(**one) for one in found["judged"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def of(self, key: str) -> list[Judged]:
        """Those of one training, by step."""
        return sorted((one for one in self.judged() if one.key == key), key=lambda one: one.step)

    def stopped(self, key: str) -> Judged | None:
        """The decision that has ended a training, if one has."""
        return next((one for one in self.of(key) if not one.goes_on), None)

    def judge(
        self,
        key: str,
        step: int,
        measure: Callable[[], float],
        *,
        reduction: float,
        higher_is_better: bool,
        keep: Callable[[], None],
    ) -> Judged:
        """Decide at a rung, unless that is done; `keep` is called before a training is stopped."""
        known = next((one for one in self.of(key) if one.step == step), None)
        if known is not None:
            return known
        value = measure()
        with self.store.locked(f"halving-{self.name}"):
            judged = self.judged()
            others = [one.value for one in judged if one.step == step and one.key != key]
            goes_on = is_among_best(
                value, others, reduction=reduction, higher_is_better=higher_is_better
            )
            if not goes_on:
                keep()
            one = Judged(key, step, value, goes_on)
            path = self.store.root / "halving" / f"{self.name}.json"
            write_json(path, sealed({"judged": [asdict(other) for other in (*judged, one)]}))
        return one
