"""One level of a run while it goes on: which stages run, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.store.progress import Told, read_progress
from bench.store.stage import Outcome, StageSpec
from bench.store.store import Store


@dataclass
class Took:
    """Seconds that finished stages took, by their name: what like ones may be expected to take."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, stage: str, seconds: float) -> None:
        """One more finished stage."""
        self.seconds.setdefault(stage, []).append(seconds)

    def mean(self, stage: str, running: Iterable[float] = ()) -> float | None:
        """Mean of the finished ones, or of what the running ones seem to need; None without any."""
        known = self.seconds.get(stage) or list(running)
        return sum(known) / len(known) if known else None


@dataclass
class Level:
    """Level `number` of `of`, with the stages that are computed in it."""

    number: int
    of: int
    specs: Sequence[StageSpec]
    store: Store
    took: Took
    ended: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Forget what the stages told before an interruption: it says nothing of now."""
        for spec in self.specs:
            (self.store.work(spec.stage, spec.key) / "progress.json").unlink(missing_ok=True)

    def end(self, outcome: Outcome) -> None:
        """A stage has ended, one way or another."""
        self.ended.add(outcome.name)
        if outcome.status == "computed":
            self.took.add(outcome.name.rsplit("-", 1)[0], outcome.seconds)

    def running(self) -> dict[str, Told]:
        """Progress by name of the stages that have told something and have not ended."""
        told = {
            spec.name: read_progress(self.store.work(spec.stage, spec.key))
            for spec in self.specs
            if spec.name not in self.ended
        }
        return {name: said for name, said in told.items() if said is not None}

    def seconds_left(self, running: Mapping[str, Told]) -> float | None:
        """Until the level is done, as many stages at a time as now; None while nobody can say."""
        totals: dict[str, list[float]] = {}
        for name, told in running.items():
            if told.seconds_left is not None:
                stage = name.rsplit("-", 1)[0]
                totals.setdefault(stage, []).append(told.seconds + told.seconds_left)
        left = [0.0]
        for spec in self.specs:
            if spec.name in self.ended:
                continue
            said = running.get(spec.name)
            if said is not None and said.seconds_left is not None:
                left.append(said.seconds_left)
                continue
            expected = self.took.mean(spec.stage, totals.get(spec.stage, ()))
            if expected is None:
                return None
            left.append(max(0.0, expected - (said.seconds if said else 0.0)))
        return max(max(left), sum(left) / max(1, len(running)))
