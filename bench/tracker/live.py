"""MLflow while a suite runs: a thread of the driver carries over what the store has by then.

A tracker that is slow or dead never delays a stage. What waits for it lies in the store: nothing is
queued, and nothing gets lost.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field

from bench.errors import UserError
from bench.store.store import Store
from bench.tracker.connection import shown_uri
from bench.tracker.experiments import Say, opened
from bench.tracker.rounds import Round, Watched, is_at_work

SECONDS_BETWEEN = 10.0
# Between attempts at a tracker that fails, at most; until somebody is told of it; for the last.
MOST_SECONDS_BETWEEN, SECONDS_UNTIL_TOLD, SECONDS_TO_END = 120.0, 300.0, 20.0
# Of a run that was interrupted: whoever did it does not wait for long.
SECONDS_TO_STOP = 5.0


@dataclass
class Live:
    """A suite's mirror while it runs; `driver` is the name of the driver's own folder in `work/`.

    Nothing reaches the tracker before a stage has been at work for a while: a suite with nothing to
    do, or one that is refused, leaves no trace there.
    """

    store: Store
    uri: str
    watched: Watched
    driver: str
    say: Say
    _ending: threading.Event = field(default_factory=threading.Event)
    _abandoned: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _complete: bool = False
    _had: set[str] = field(default_factory=set)
    _round: Round | None = None
    _failing_since: float | None = None
    _told: bool = False

    def begin(self) -> None:
        """Start to watch, unless all stages are there."""
        self._had = {
            spec.name for spec in self.watched.specs() if self.store.has(spec.stage, spec.key)
        }
        if len(self._had) < self.watched.total():
            self._thread = threading.Thread(target=self._watch, name="live MLflow", daemon=True)
            self._thread.start()

    def end(self, *, complete: bool) -> None:
        """Carry over the last, for so long at most; `complete`: the suite has come to its end."""
        self._complete = complete
        self._ending.set()
        if self._thread is not None:
            self._thread.join(SECONDS_TO_END if complete else SECONDS_TO_STOP)
            self._abandoned.set()
            self._thread.join(SECONDS_TO_STOP)

    def _watch(self) -> None:
        pause, begun = SECONDS_BETWEEN, False
        while not self._ending.wait(pause):
            begun = begun or self._begun()
            if begun:
                worked = self._carried(last=False)
                pause = SECONDS_BETWEEN if worked else min(2 * pause, MOST_SECONDS_BETWEEN)
        if self._round is not None:
            self._carried(last=True)

    def _begun(self) -> bool:
        """Whether a stage of this run is at work, or was."""
        with contextlib.suppress(UserError, OSError):  # The run itself says what is wrong.
            return any(
                is_at_work(self.store, spec, self.driver) or self.store.has(spec.stage, spec.key)
                for spec in self.watched.specs()
                if spec.name not in self._had
            )
        return False

    def _carried(self, *, last: bool) -> bool:
        """Whether a round has worked; whoever waits for a tracker that fails is told, once."""
        try:
            with opened(self.store, self.uri, say=self.say, abandoned=self._abandoned) as client:
                if self._round is None:
                    self._round = Round.start(
                        client, self.store, self.uri, self.watched, self.driver, say=self.say
                    )
                self._round.use(client)
                self._round.carry(had=self._had, time_is_up=self._ending.is_set)
                if last:
                    self._round.end(complete=self._complete)
        except Exception as error:  # The mirror at the end of the run says what is still wrong.
            self._round = None  # The tracker may have less than it was given.
            self._fail(error)
            return False
        self._failing_since = None
        return True

    def _fail(self, error: Exception) -> None:
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if now - self._failing_since >= SECONDS_UNTIL_TOLD and not self._told:
            self._told = True
            self.say(f"warning: {shown_uri(str(error))}; the run goes on, and tries again")
