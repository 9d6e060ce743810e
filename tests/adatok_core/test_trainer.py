from importlib.resources import files

import pytest
import torch

from adatok_core.config import GeneratorTraining
from adatok_core.trainer import Trainer
from adatok_core.training_state import DivergedError


class Counting(Trainer[GeneratorTraining]):
    """Learns to add one at every step."""

    def __init__(self, *, steps, log_every, diverges_at=None):
        torch.manual_seed(0)
        module = torch.nn.Linear(1, 1)
        self.diverges_at = diverges_at
        config = GeneratorTraining(steps=steps, log_every=log_every, warmup_steps=0)
        optimizer = torch.optim.AdamW(module.parameters(), fused=True)
        super().__init__(config, modules={"model": module}, optimizers={"optimizer": optimizer})

    def _train_step(self):
        if self.step == self.diverges_at:
            raise DivergedError(f"at step {self.step + 1}")
        self._set_learning_rate(0.1 / (1 + self.step))
        self._zero_gradients()
        loss = (self.modules["model"](torch.ones(1, 1)) - 2).square().mean()
        loss.backward()
        self.optimizers["optimizer"].step()
        if self._row_is_due:
            self.history.append({"step": self.step + 1, "loss": loss.item()})


def run_to(trainer, step):
    for done in trainer.run():
        if done == step:
            return trainer
    raise AssertionError("the run ended before the step")


@pytest.mark.parametrize(("log_every", "logged"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_every_few_steps_and_the_last_one_are_logged(log_every, logged):
    trainer = Counting(steps=5, log_every=log_every)
    assert list(trainer.run()) == [1, 2, 3, 4, 5]
    assert [row["step"] for row in trainer.history] == logged
    assert list(trainer.run()) == []


def test_a_run_that_is_taken_up_again_ends_in_the_same_bits():
    whole = run_to(Counting(steps=6, log_every=2), 6)
    half = run_to(Counting(steps=6, log_every=2), 3).state()
    resumed = Counting(steps=6, log_every=2)
    resumed.load_state(half)
    assert list(resumed.run()) == [4, 5, 6]
    assert resumed.history == whole.history
    ours, theirs = resumed.state().tensors, whole.state().tensors
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_step_that_diverges_is_not_counted():
    trainer = Counting(steps=5, log_every=1, diverges_at=2)
    with pytest.raises(DivergedError, match="at step 3"):
        list(trainer.run())
    assert (trainer.step, len(trainer.history)) == (2, 2)


@pytest.mark.parametrize("package", ["adatok_core", "bench", "reports"])
def test_packages_say_that_they_are_typed(package):
    assert files(package).joinpath("py.typed").is_file()
