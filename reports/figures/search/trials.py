"""What records say of a search: its trials with their objectives, its front, what matters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from bench.config.search import Distribution, read_distribution
from bench.metrics.declared import declared_metric
from bench.records.sections.search import SearchedCell
from bench.search.drawing import Tried
from bench.search.importance import importances
from reports.analysis.groups import Record


@dataclass(frozen=True)
class Trial:
    """A trial: its settings, and the means of its cells by objective where it is `done`.

    `rungs` are values on validation images while its tokenizer was trained, by step.
    """

    number: int
    label: str
    tried: Tried
    rungs: tuple[tuple[int, float], ...]
    stopped_at: int | None

    @property
    def state(self) -> str:
        """`done`, `stopped`, `failed` or `pending`."""
        return self.tried.state


@dataclass(frozen=True)
class Searched:
    """The search of an arm, as far as it has come; `judged_by` is what could stop a training."""

    arm: str
    about: SearchedCell
    trials: tuple[Trial, ...]
    judged_by: str | None

    @property
    def objectives(self) -> dict[str, str]:
        """Metrics by name, with their direction."""
        return dict(self.about.objectives)

    @property
    def done(self) -> list[Trial]:
        """Trials with results."""
        return [trial for trial in self.trials if trial.state == "done"]

    @property
    def spaces(self) -> dict[str, Distribution]:
        """What settings are drawn from."""
        return {path: read_distribution(path, raw) for path, raw in self.about.space.items()}

    def importance(self, objective: int) -> dict[str, float]:
        """How much each setting matters for an objective, see `importances`."""
        tried = [trial.tried for trial in self.trials]
        return importances(self.spaces, tried, objective=objective)

    def front(self) -> list[Trial]:
        """Trials with results that no other one is better than in all objectives, by number."""
        return [one for one in self.done if not any(self._beats(other, one) for other in self.done)]

    def _beats(self, one: Trial, other: Trial) -> bool:
        pairs = list(zip(self._lower(one), self._lower(other), strict=True))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    def _lower(self, trial: Trial) -> list[float]:
        """Values of the objectives, lower is better."""
        signs = (1 if way == "minimize" else -1 for way in self.objectives.values())
        return [sign * value for sign, value in zip(signs, trial.tried.values, strict=True)]

    def best_so_far(self, objective: int) -> list[tuple[int, float]]:
        """The best value of an objective after each trial with a result, by its number."""
        best = max if [*self.objectives.values()][objective] == "maximize" else min
        found: list[tuple[int, float]] = []
        for trial in self.done:
            value = trial.tried.values[objective]
            found.append((trial.number, best(value, found[-1][1]) if found else value))
        return found


def searches(records: Iterable[Record]) -> list[Searched]:
    """The searches that these records are of, by arm."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.search is not None:
            groups.setdefault((record.arm, record.search.name), []).append(record)
    return [_searched(members) for members in groups.values()]


def _searched(records: list[Record]) -> Searched:
    by_number: dict[int, list[Record]] = {}
    for record in records:
        by_number.setdefault(record.search.trial, []).append(record)
    about = records[0].search
    judged = {record.stop_early.metric for record in records if record.stop_early}
    trials = [_trial(number, by_number[number], about) for number in sorted(by_number)]
    return Searched(records[0].arm, about, tuple(trials), next(iter(judged), None))


def _trial(number: int, records: list[Record], about: SearchedCell) -> Trial:
    first = records[0]
    settings = {path: first.swept[path] for path in about.space}
    early = next((record.stop_early for record in records if record.stop_early), None)
    rungs = [(rung.step, rung.value) for rung in early.rungs] if early else []
    state, values = _outcome(records, about)
    return Trial(
        number,
        first.group,
        Tried(settings, state, values),
        tuple(rungs),
        early.stopped_at if early else None,
    )


def _outcome(records: list[Record], about: SearchedCell) -> tuple[str, tuple[float, ...]]:
    for status in ("stopped", "failed", "pending"):
        if any(record.status == status for record in records):
            return status, ()
    found = [[record.metrics.value(name) for record in records] for name in about.objectives]
    if any(value is None or not math.isfinite(value) for each in found for value in each):
        return "failed", ()
    return "done", tuple(fmean(each) for each in found)


def title_of(metric: str) -> str:
    """The name of an objective, with its unit."""
    declared = declared_metric(metric)
    return f"{declared.title} ({declared.unit})" if declared.unit else declared.title
