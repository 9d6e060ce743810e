"""Settings to try: drawn at random, or by Optuna from what earlier ones have come to.

Each draw is a pure function of the search, its number and what came before: nothing of a sampler
has to be kept, and an interrupted search goes on as if nothing had happened.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench.config.search import LOGARITHMIC, WHOLE, Distribution, Search
from bench.files import canonical_json

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Settings = dict[str, Any]
# Attempts at settings that are new; of a space with an end all that are left are listed then.
ATTEMPTS = 200
DIGITS = 4


@dataclass(frozen=True)
class Tried:
    """Settings that were drawn, and what has become of them, as far as the next draw may know.

    `values` are those of the objectives, in their order, of what is `done`.
    """

    settings: Settings
    state: Literal["done", "failed", "stopped", "pending"] = "pending"
    values: tuple[float, ...] = ()


def may_draw(search: Search, number: int, *, has_ended: Callable[[int], bool]) -> bool:
    """Whether all have ended that draw `number` depends on."""
    return number < search.random_ones or all(map(has_ended, range(told_of(search, number))))


def told_of(search: Search, number: int) -> int:
    """How many of the first ones draw `number` is told the results of, however fast others are."""
    return 0 if number < search.random_ones else max(0, number - search.at_once + 1)


def draw(search: Search, tried: Sequence[Tried]) -> Settings:
    """The next settings by dotted path, unlike all that were tried.

    `tried` are all before, in order; of those that may still run nothing is looked at.
    """
    number = len(tried)
    known = {canonical_json(one.settings) for one in tried}
    if number >= search.random_ones:
        found = _learnt(search, tried)
        if canonical_json(found) not in known:
            return found
    random = np.random.default_rng([search.seed, number])
    spaces = search.distributions
    for _ in range(ATTEMPTS):
        found = {path: _random(one, random) for path, one in spaces.items()}
        if canonical_json(found) not in known:
            return found
    left = [one for one in _all(spaces) if canonical_json(one) not in known]
    return left[random.integers(len(left))]


def _all(spaces: dict[str, Distribution]) -> list[Settings]:
    """All settings of a space that has an end, as one has of which so many draws were known."""
    values = [
        one.values if one.kind == "choice" else range(int(one.low), int(one.high) + 1)
        for one in spaces.values()
    ]
    return [dict(zip(spaces, each, strict=True)) for each in itertools.product(*values)]


def _random(one: Distribution, random: np.random.Generator) -> Any:
    if one.kind == "choice":
        return one.values[random.integers(len(one.values))]
    if one.kind == "int":
        return int(random.integers(int(one.low), int(one.high) + 1))
    if one.kind == "uniform":
        return rounded(random.uniform(one.low, one.high), one)
    if one.kind == "logint":  # Each whole number has the room around it.
        low, high = math.log(one.low - 0.5), math.log(one.high + 0.5)
        return int(np.clip(round(math.exp(random.uniform(low, high))), one.low, one.high))
    return rounded(math.exp(random.uniform(math.log(one.low), math.log(one.high))), one)


def rounded(value: float, one: Distribution) -> float:
    """A drawn number with as many digits as people read, within its bounds."""
    return min(max(float(f"{value:.{DIGITS}g}"), one.low), one.high)


def _learnt(search: Search, tried: Sequence[Tried]) -> Settings:
    """What the tree-structured Parzen estimator of Optuna proposes (Bergstra et al. 2011).

    Of several objectives it weighs the non-dominated ones (Ozaki et al. 2022). Those that may still
    run count as bad ones (`constant_liar`), so that the next is elsewhere.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    number = len(tried)
    sampler = optuna.samplers.TPESampler(
        seed=int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0]),
        n_startup_trials=search.random_ones,
        constant_liar=True,
    )
    study = optuna.create_study(directions=[*search.metric.values()], sampler=sampler)
    spaces = search.distributions
    known = told_of(search, number)
    for place, one in enumerate(tried):
        study.add_trial(frozen_trial(one if place < known else Tried(one.settings), spaces))
    found = study.ask({path: optuna_distribution(one) for path, one in spaces.items()}).params
    return {path: _setting(found[path], one) for path, one in spaces.items()}


def frozen_trial(one: Tried, spaces: dict[str, Distribution]) -> FrozenTrial:
    """A trial of Optuna's for what was tried."""
    from optuna.trial import TrialState, create_trial

    states = {
        "done": TrialState.COMPLETE,
        "failed": TrialState.FAIL,
        "stopped": TrialState.PRUNED,
        "pending": TrialState.RUNNING,
    }
    return create_trial(
        state=states[one.state],
        params={path: _parameter(one.settings[path], space) for path, space in spaces.items()},
        distributions={path: optuna_distribution(space) for path, space in spaces.items()},
        values=one.values if one.state == "done" else None,
    )


def optuna_distribution(one: Distribution) -> BaseDistribution:
    """The distribution as Optuna has it; of a choice each value is the text of its JSON."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if one.kind == "choice":
        return CategoricalDistribution([canonical_json(value) for value in one.values])
    log = one.kind in LOGARITHMIC
    if one.kind in WHOLE:
        return IntDistribution(int(one.low), int(one.high), log=log)
    return FloatDistribution(one.low, one.high, log=log)


def _parameter(setting: Any, one: Distribution) -> Any:
    return canonical_json(setting) if one.kind == "choice" else setting


def _setting(parameter: Any, one: Distribution) -> Any:
    if one.kind == "choice":
        return next(value for value in one.values if canonical_json(value) == parameter)
    return int(parameter) if one.kind in WHOLE else rounded(float(parameter), one)
