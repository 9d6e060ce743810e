"""Trainings that leave checkpoints, written beside them, and go on from the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from adatok_core.ranks import Ranks
from adatok_core.trainer import Trainer
from adatok_core.training_state import TrainingState
from bench.store.checkpoints import load_state, save_state
from bench.store.stage import StageContext
from bench.store.stopping import StageStopped

# Called with the finished steps, and with what leaves a checkpoint of them and waits for it.
Judge = Callable[[int, Callable[[], None]], None]


@dataclass
class CheckpointWriter:
    """Writes checkpoints into a stage's work folder, in a thread, one at a time.

    The next state is copied when the last one is on the disk: there is one copy in memory. What
    goes wrong is raised by the next call, or at the end.
    """

    work: Path
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), init=False)
    _written: Future[None] | None = field(default=None, init=False)

    def begin(self, state: Callable[[], TrainingState]) -> None:
        """Copy the state and have it written."""
        self.wait()
        self._written = self._pool.submit(save_state, self.work, state())

    def wait(self) -> None:
        """Return when all is written."""
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._pool:
            self.wait()


def steps_of(
    context: StageContext,
    trainer: Trainer[Any],
    *,
    complete: Callable[[int], None] = lambda step: None,
    judge: Judge = lambda step, keep: None,
) -> Iterator[int]:
    """Train to the end, from the last checkpoint on, yielding the finished steps after each one.

    A checkpoint is left at every `checkpoint_every`th step, and when the stage is asked to stop; of
    several ranks the first leaves it. `complete` adds to the history what belongs into it as well;
    `judge` may end the training, at the step from which it goes on or at a later one.

    Raises:
        StageStopped: it was asked to stop; its state is on the disk.
    """
    leads, config = Ranks.here().rank == 0, trainer.config
    with CheckpointWriter(context.work) as writer:

        def keep() -> None:
            writer.begin(trainer.state)
            writer.wait()

        state = load_state(context.work)
        if state is not None:
            trainer.load_state(state)
            judge(trainer.step, keep)
        for step in trainer.run():
            complete(step)
            stop = context.stopping.looked()
            if leads and step < config.steps and (stop or step % config.checkpoint_every == 0):
                writer.begin(trainer.state)
            if stop and step < config.steps:
                raise StageStopped
            judge(step, keep)
            yield step
