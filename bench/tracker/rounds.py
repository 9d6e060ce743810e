"""What a round carries to MLflow while a suite runs: new points, ended stages, finished cells."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bench.records.record import Record
from bench.records.runs import read_runs
from bench.search.halving import Halving
from bench.store.curve import FILE, CurveReader
from bench.store.stage import StageSpec
from bench.store.store import Store
from bench.tracker.experiments import STAGES, Say, experiment_of
from bench.tracker.parameters import parameters
from bench.tracker.stage_runs import StageRuns
from bench.tracker.stages import StageRun, described, description
from bench.tracker.suite_runs import About, SuiteRuns

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Of one round, for cells: curves need not wait for a thousand of them.
SECONDS_FOR_CELLS = 10.0


class Watched(Protocol):
    """A suite that runs, as the store has it by now."""

    @property
    def about(self) -> About:
        """Its name, its question and its cells."""

    @property
    def varying(self) -> set[str]:
        """Paths of the settings in which its cells differ."""

    def specs(self) -> list[StageSpec]:
        """Its stages as far as their keys are known, each once."""

    def total(self) -> int:
        """How many stages there are, known or not."""

    def records(self, seen: set[str]) -> Iterator[Record]:
        """Records of the cells that are done, but for those of the keys `seen`."""


@dataclass
class Round:
    """What a tracker has of a running suite since it was last reached, as far as it is known."""

    store: Store
    watched: Watched
    driver: str
    stage_runs: StageRuns
    suite_runs: SuiteRuns
    _ended: set[str] = field(default_factory=set)
    _stopped: set[str] = field(default_factory=set)
    _cells: set[str] = field(default_factory=set)
    _curves: dict[str, CurveReader] = field(default_factory=dict)

    @staticmethod
    def start(
        client: MlflowClient, store: Store, uri: str, watched: Watched, driver: str, *, say: Say
    ) -> Round:
        """Look at what the tracker has, and reopen the suite's run."""
        about = watched.about
        own, shared = (
            experiment_of(client, name, store, uri, say) for name in (about.suite, STAGES)
        )
        stage_runs = StageRuns(client, shared, store, driver)
        stage_runs.look()
        versions = read_runs(store.root / "records" / about.suite)
        suite_runs = SuiteRuns(client, own, store, about, stage_runs, versions, driver)
        suite_runs.look()
        return Round(store, watched, driver, stage_runs, suite_runs)

    def use(self, client: MlflowClient) -> None:
        """Reach the tracker by this client from now."""
        self.stage_runs.client = self.suite_runs.client = client

    def carry(self, *, had: set[str], time_is_up: Callable[[], bool]) -> None:
        """Bring the tracker up to the store.

        Stages that the store `had` when the suite began are left to their cells. Once time is up
        cells are left to the mirror at the end.
        """
        for spec in self.watched.specs():
            if spec.name in self._ended or spec.name in self._stopped:
                continue
            if self.store.has(spec.stage, spec.key):
                self._ended.add(spec.name)
                if spec.name not in had:
                    self._end(spec)
            else:
                self._go_on(spec)
        self.suite_runs.progress(len(self._ended), self.watched.total())
        until = time.monotonic() + SECONDS_FOR_CELLS
        for record in self.watched.records(self._cells):
            if time_is_up() or time.monotonic() > until:
                return
            self.suite_runs.cell(record, parameters(record, self.watched.varying))
            self._cells.add(record.cell_key)

    def end(self, *, complete: bool) -> None:
        """Leave nothing running; the mirror at the end of a complete run says how it has ended."""
        for spec in self.watched.specs():
            if spec.key in self.stage_runs.open_keys:
                self._give_up(spec)
        self.suite_runs.end(status="FINISHED" if complete else "KILLED")

    def _end(self, spec: StageSpec) -> None:
        """A training has ended; all others appear with the first cell that they are a part of."""
        if spec.key in self.stage_runs.open_keys:
            about = description(self.store, spec.stage, spec.key)
            if about:
                self.stage_runs.whole(described(about))

    def _go_on(self, spec: StageSpec) -> None:
        """Carry the new rows of a training that is at work, or tell that it has failed."""
        work = self.store.work(spec.stage, spec.key)
        if not is_at_work(self.store, spec, self.driver):
            return
        if _has_failed(self.store, spec):
            if spec.key in self.stage_runs.open_keys:
                self._carry_rows(spec)
                self._give_up(spec)
        elif (work / FILE).is_file() and self.stage_runs.begin(_begun(self.store, spec)):
            self._carry_rows(spec)
            if _stopped_early(self.store, spec):
                self._give_up(spec)
                self._stopped.add(spec.name)

    def _carry_rows(self, spec: StageSpec) -> None:
        work = self.store.work(spec.stage, spec.key)
        reader = self._curves.setdefault(spec.key, CurveReader(work))
        self.stage_runs.add(spec.key, reader.rows())

    def _give_up(self, spec: StageSpec) -> None:
        error = self.store.failure(spec.stage, spec.key) if _has_failed(self.store, spec) else None
        status = "KILLED" if error is None else "FAILED"
        error = error or _stopped_early(self.store, spec)
        self.stage_runs.give_up(spec.key, status=status, error=error)
        self._curves.pop(spec.key, None)


def is_at_work(store: Store, spec: StageSpec, driver: str) -> bool:
    """Whether an attempt at a stage has begun since this driver has: by the clock of the disk."""
    began = _changed(store, f"work/{driver}")
    attempt = _changed(store, f"work/{spec.name}/attempts.json")
    return began is not None and attempt is not None and attempt >= began


def _has_failed(store: Store, spec: StageSpec) -> bool:
    """Whether the last attempt at a stage has."""
    failure = _changed(store, f"failed/{spec.name}.json")
    attempt = _changed(store, f"work/{spec.name}/attempts.json")
    return failure is not None and (attempt is None or failure >= attempt)


def _stopped_early(store: Store, spec: StageSpec) -> str:
    """What has ended a training early, in words; empty where nothing has."""
    race = spec.runtime.get("stop_early")
    judged = Halving(store, race["name"]).stopped(spec.key) if race else None
    return "" if judged is None else f"stopped early at step {judged.step}"


def _changed(store: Store, path: str) -> int | None:
    try:
        return (store.root / path).stat().st_mtime_ns
    except OSError:
        return None


def _begun(store: Store, spec: StageSpec) -> StageRun:
    """A stage at work, as a run is opened for it."""
    attempts = []
    with contextlib.suppress(OSError, ValueError):
        attempts = json.loads((store.work(spec.stage, spec.key) / "attempts.json").read_bytes())
    return described(
        {
            **{"stage": spec.stage, "key": spec.key, "config": spec.config, "seconds": 0.0},
            **{"inputs": spec.inputs, "attempts": attempts},
        }
    )
