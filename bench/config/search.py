"""What an arm may ask for beside a grid: a search of settings, and an early end of trainings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from adatok_core.config.checks import Strict, require

KINDS = ("choice", "uniform", "loguniform", "int", "logint")
WHOLE, LOGARITHMIC = ("int", "logint"), ("loguniform", "logint")
Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Distribution:
    """What a setting is drawn from: the `values` of a `choice`, or between `low` and `high`."""

    kind: str
    values: tuple[Any, ...] = ()
    low: float = math.nan
    high: float = math.nan

    @property
    def count(self) -> float:
        """How many values there are to draw."""
        if self.kind == "choice":
            return len(self.values)
        return int(self.high) - int(self.low) + 1 if self.kind in WHOLE else math.inf

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that show whether a setting takes all: each of a choice, or both ends."""
        return self.values if self.kind == "choice" else (self.low, self.high)


def read_distribution(path: str, raw: Any) -> Distribution:
    """The distribution of a setting: a mapping of its kind to a list.

    Raises:
        ValueError: it is none; begins with the path.
    """
    known = ", ".join(KINDS[:-1]) + f" or {KINDS[-1]}"
    require(
        isinstance(raw, dict) and len(raw) == 1 and next(iter(raw)) in KINDS,
        f"{path}: give one of {known} with a list, as in {{uniform: [0, 1]}}",
    )
    ((kind, values),) = raw.items()
    require(isinstance(values, list) and values != [], f"{path}.{kind}: give a list of values")
    if kind == "choice":
        distinct = all(value not in values[:place] for place, value in enumerate(values))
        require(distinct, f"{path}.choice: a value is given twice; remove one")
        return Distribution(kind, tuple(values))
    numbers = int if kind in WHOLE else (int, float)
    sound = len(values) == 2 and all(
        isinstance(value, numbers) and not isinstance(value, bool) for value in values
    )
    require(sound, f"{path}.{kind}: give {'whole ' * (kind in WHOLE)}numbers [lowest, highest]")
    low, high = values
    require(low < high, f"{path}.{kind}: {low} must be less than {high}")
    require(kind not in LOGARITHMIC or low > 0, f"{path}.{kind}: {low} must be positive")
    if kind not in WHOLE:
        low, high = float(low), float(high)
    return Distribution(kind, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class Search(Strict):
    """A search of an arm: `samples` settings drawn from `space`, judged by the metrics of cells.

    `metric` has a direction for each objective. Optuna draws `startup` of them at random, and each
    of the others by what all had come to but for the last `pending` ones, which may still run.
    """

    algorithm: Literal["random", "optuna"]
    samples: int
    metric: dict[str, Direction]
    space: dict[str, dict[str, Any]]
    seed: int = 0
    pending: int | None = None
    startup: int | None = None

    def __post_init__(self) -> None:
        require(self.samples >= 1, "samples: must be 1 or more")
        require(self.metric != {}, "metric: name one or more, with minimize or maximize")
        require(self.space != {}, "space: is empty; give settings by dotted path")
        require(self.seed >= 0, "seed: must not be negative")
        for name in ("pending", "startup"):
            value = getattr(self, name)
            learns = self.algorithm == "optuna"
            require(value is None or learns, f"{name}: random looks at no results; remove it")
            require(value is None or value >= 1, f"{name}: must be 1 or more")
        for path in self.space:
            seed = path.endswith("seed")
            require(not seed, f"space.{path}: a seed is no setting to choose; sweep it")
        count = math.prod(one.count for one in self.distributions.values())
        require(
            self.samples <= count,
            f"samples: {self.samples} are more than the {count} settings of the space; lower it",
        )

    @property
    def distributions(self) -> dict[str, Distribution]:
        """What each setting is drawn from, by its path."""
        return {path: read_distribution(f"space.{path}", raw) for path, raw in self.space.items()}

    @property
    def at_once(self) -> int:
        """How many of the last ones may still run when the next one is drawn."""
        return self.pending or 4

    @property
    def random_ones(self) -> int:
        """How many of the first ones are drawn at random."""
        return self.samples if self.algorithm == "random" else (self.startup or 10)

    @property
    def known_at_once(self) -> int:
        """How many of the first ones are known before any has a result."""
        return min(self.samples, max(self.random_ones, self.at_once))


@dataclass(frozen=True, kw_only=True)
class StopEarly(Strict):
    """An early end of an arm's trainings of tokenizers: asynchronous successive halving.

    `metric`, of single images, is the mean over validation images and budgets at the steps `grace`,
    `grace * reduction`, and so on: one in `reduction` goes on behind each of them.
    """

    scheduler: Literal["asha"]
    metric: str
    grace: int
    reduction: float = 3.0

    def __post_init__(self) -> None:
        require(self.grace >= 1, "grace: must be 1 or more")
        require(self.reduction > 1, "reduction: must be above 1")

    def rungs(self, steps: int) -> tuple[int, ...]:
        """The steps of a training of so many at which it is judged, without the last."""
        found, rung = [], float(self.grace)
        while round(rung) < steps:
            found.append(round(rung))
            rung = max(rung * self.reduction, found[-1] + 1)
        return tuple(found)
