import threading
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from adatok_core.trainer import Trainer
from bench.stages.training import checkpointing
from bench.stages.training.checkpointing import steps_of
from bench.store.checkpoints import load_state, save_state
from bench.store.stage import StageContext
from bench.store.stopping import StageStopped


@dataclass(frozen=True)
class Config:
    steps: int = 9
    checkpoint_every: int = 3
    log_every: int = 1


class Counting(Trainer):
    """Counts its steps in a weight."""

    def __init__(self, config=Config()):
        self.count = torch.nn.Linear(1, 1, bias=False).requires_grad_(False)
        self.count.weight.zero_()
        super().__init__(config, modules={"count": self.count}, optimizers={})

    def _train_step(self):
        self.count.weight += 1


@pytest.fixture
def context(tmp_path):
    return StageContext(SimpleNamespace(), {}, tmp_path)


def saved(work):
    state = load_state(work)
    return state.step, state.tensors["count.weight"].item()


def test_a_training_goes_on_while_its_state_is_written_and_has_one_copy_of_it(context, monkeypatch):
    writing, may_end, written = threading.Event(), threading.Event(), []

    def slowly(work, state):
        writing.set()
        assert may_end.wait(10)
        save_state(work, state)
        written.append(state.step)

    monkeypatch.setattr(checkpointing, "save_state", slowly)
    trainer = Counting()
    states = []
    monkeypatch.setattr(trainer, "state", lambda: states.append(0) or Trainer.state(trainer))
    steps = steps_of(context, trainer)
    for step in steps:
        if step == 5:
            assert writing.wait(10)
            assert (len(states), written) == (1, [])
            may_end.set()
    assert (written, len(states)) == ([3, 6], 2)
    assert saved(context.work) == (6, 6.0)


def test_it_goes_on_from_the_state_of_its_step(context):
    for step in steps_of(context, Counting()):
        if step == 5:
            break
    resumed = Counting()
    assert next(steps_of(context, resumed)) == 4
    assert resumed.count.weight.item() == 4


def test_a_state_that_cannot_be_written_ends_the_training(context, monkeypatch):
    def full(work, state):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpointing, "save_state", full)
    done = []
    with pytest.raises(OSError, match="No space left"):
        done.extend(steps_of(context, Counting()))
    with pytest.raises(OSError, match="No space left"):
        list(steps_of(context, Counting(Config(steps=4))))
    assert not list(context.work.glob("*.safetensors"))


def test_one_that_is_stopped_has_its_state_on_the_disk(context):
    def ask(step, keep):
        if step == 4:
            context.stopping.ask()

    with pytest.raises(StageStopped):
        list(steps_of(context, Counting(), judge=ask))
    assert saved(context.work) == (5, 5.0)


def test_a_judge_sees_where_it_goes_on_and_each_step_and_may_have_it_kept(context):
    seen = []

    def judge(step, keep):
        seen.append(step)
        if step == 5:
            keep()
            assert saved(context.work) == (5, 5.0)
            raise StageStopped

    with pytest.raises(StageStopped):
        list(steps_of(context, Counting(), judge=judge))
    with pytest.raises(StageStopped):
        list(steps_of(context, Counting(), judge=judge))
    assert seen == [1, 2, 3, 4, 5, 5]
