"""One Tune run for the stages of a suite: the agenda is its searcher, a stage one of its trials."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from bench.run.agenda import Agenda
from bench.run.cluster.notes import STOP, Notes
from bench.run.cluster.session import RaySession
from bench.run.cluster.trial import OVER, end_note, spec_note
from bench.run.room import Candidate, Room
from bench.store.stage import Outcome
from bench.store.stopping import GRACE_SECONDS, Stopping

# Where Ray begins the traceback of what was raised in a worker, perhaps in colour.
RAISED = re.compile(r"(\x1b\[\d+m)?ray::")
# The driver waits for the trials that stop; `bench.run.cluster.trial` waits less.
STOPPING_SECONDS = GRACE_SECONDS - 4
SECONDS_BETWEEN_COUNTS = 5.0


class OverError(Exception):
    """Ends the Tune run."""


@dataclass
class Flow:
    """Between Tune and the agenda: what starts, what has ended, and when all is over."""

    agenda: Agenda
    session: RaySession
    notes: Notes
    stopping: Stopping
    taken: dict[str, str] = field(default_factory=dict)
    _waiting: set[str] = field(default_factory=set)
    _ending_since: float | None = None
    _counted: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.room = Room(*self.session.room, self.session.memory)

    def next(self) -> dict[str, Any] | str | None:
        """What `Searcher.suggest` is to answer."""
        self.look()
        if self.ending or self.agenda.finished:
            return None if self.taken else Searcher.FINISHED
        spec = self.agenda.take(self.room)
        if spec is None:
            return Searcher.FINISHED if self.agenda.finished and not self.taken else None
        expected = self.agenda.expected_seconds(spec.name)
        self.room.take(Candidate(spec.name, spec.resources, expected), time.monotonic())
        self.notes.write(spec_note(spec.name), json.dumps(spec.to_json()))
        self.taken[spec.name] = spec.stage
        asks = spec.resources
        more = {"memory": asks.memory_bytes} if asks.memory_bytes else {}
        return {"name": spec.name, "cpus": asks.cpus, "gpus": asks.gpus, **more}

    def look(self) -> None:
        """Notice signals and errors, tell the trials to stop, and end what does not.

        Raises:
            UserError: Ray has died.
            OverError: trials have not stopped in time.
        """
        self.session.require_alive()
        self.stopping.looked()
        now = time.monotonic()
        if self.ending:
            if self._ending_since is None:
                self._ending_since = now
                self.notes.write(STOP, "")
            if now - self._ending_since > STOPPING_SECONDS:
                self.agenda.stopped = True
                raise OverError
        elif now - self._counted > SECONDS_BETWEEN_COUNTS:
            self._counted = now
            self.session.count()
            self.room.cpus, self.room.gpus = self.session.room
            self.room.memory = self.session.memory
            self._tell_of_waiting()

    def _tell_of_waiting(self) -> None:
        """Say once of each stage that the node it needs has gone: Ray waits without a word."""
        largest = self.session.largest
        for name in self.taken:
            asks = self.agenda.running[name].spec.resources
            waits = (
                asks.cpus > largest["CPU"]
                or asks.gpus > largest["GPU"]
                or asks.memory_bytes > largest["memory"]
            )
            if waits and name not in self._waiting:
                memory = f" and {asks.memory_gb:g} GB" * bool(asks.memory_gb)
                wanted = f"{asks.cpus} CPUs and {asks.gpus:g} GPUs{memory}"
                self.agenda.say(f"  {name} waits for a node with {wanted}: there is none now")
                self._waiting.add(name)

    @property
    def ending(self) -> bool:
        """Whether nothing is to start any more."""
        return self.stopping.asked or self.agenda.stopped or self.agenda.error is not None

    def end(self, name: str, outcome: Outcome) -> None:
        """A trial has reported how its stage has ended."""
        self._give_back(name)
        self.agenda.end(outcome)

    def fail(self, name: str, error: str) -> None:
        """A trial has ended without an outcome, with this `error` in Ray's words.

        It has raised one, or its worker has died.
        """
        note = self.notes.read(end_note(name))
        self.notes.remove(end_note(name))
        stage = self.taken[name]
        self._give_back(name)
        if self.ending:
            self.agenda.end(Outcome(name, "stopped"))
        elif RAISED.match(error):
            self.agenda.end(Outcome(name, "failed", error=error.strip().splitlines()[-1]))
        else:
            reason, remedy = why_lost(error, note, stage=stage)
            self.agenda.lost(name, reason, remedy=remedy)

    def _give_back(self, name: str) -> None:
        del self.taken[name]
        self.room.give_back(name)
        self.notes.remove(spec_note(name))


def why_lost(error: str, note: str | None, *, stage: str) -> tuple[str, str]:
    """The reason, in words, that the worker of a `stage` is gone, and what to do if it lasts."""
    fewer = f"a higher resources.{stage}.cpus, or --executor serial, lets fewer run at a time"
    if note is not None:
        raised = f"raise resources.{stage}.memory_gb, or give the stage less at a time (batch)"
        return f"its worker process was {note}", raised if note.startswith(OVER) else fewer
    if "low on memory" in error:
        kept = f"resources.{stage}.memory_gb keeps free for it what it takes, and {fewer}"
        return "its worker process was killed: out of memory, its node had hardly any left", kept
    if re.search(r"\bnode\b.*\b(died|dead|failure|terminated|removed)\b", error, re.IGNORECASE):
        return "its node has gone", fewer
    return "its worker process has died (killed, perhaps out of memory, or with its node)", fewer


class Search(Searcher):
    """Suggests a stage when its inputs are there and there is room for it."""

    def __init__(self, flow: Flow):
        super().__init__()
        self.flow = flow

    def __getstate__(self) -> dict[str, Any]:
        """Tune writes it down; nobody reads it: the store has what a run goes on from."""
        return {}

    def suggest(self, trial_id: str) -> Any:
        """A stage, None while there is none, `FINISHED` at the end."""
        return self.flow.next()

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The listener hears of it with the trial's error."""

    def save(self, checkpoint_path: str) -> None:
        """Leave nothing."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing."""


class Listener(tune.Callback):
    """Brings the ends of trials to the agenda."""

    def __init__(self, flow: Flow):
        self.flow = flow

    def __getstate__(self) -> dict[str, Any]:
        """Tune writes it down; nobody reads it."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Several times a second."""
        self.flow.look()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its last report has the outcome."""
        if "outcome" in trial.last_result:
            self.flow.end(trial.config["name"], Outcome(**trial.last_result["outcome"]))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune has just written its error down as text, behind a line with the time."""
        written = trial.error_file and Path(trial.error_file).is_file()
        text = Path(trial.error_file).read_text("utf-8") if written else ""
        self.flow.fail(trial.config["name"], text.partition("\n")[2])


def asked_of_ray(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """The resources of the stage that a trial's configuration names."""
    if "name" not in config:
        return tune.PlacementGroupFactory([{"CPU": 1}])
    memory = {"memory": config["memory"]} if "memory" in config else {}
    return tune.PlacementGroupFactory([{"CPU": config["cpus"], "GPU": config["gpus"], **memory}])
