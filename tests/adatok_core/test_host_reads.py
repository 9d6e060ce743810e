"""What a training on a GPU reads back, shown on a CPU that is told it were one."""

from dataclasses import replace

import pytest
import torch
from tiny_training import TOKENIZER, TRAINING, trainer_of
from torch.utils._python_dispatch import TorchDispatchMode

from adatok_core.config import LengthSampling
from adatok_core.training_state import DivergedError

LOG_EVERY = 4


class Reads(TorchDispatchMode):
    """Counts the values that are handed to the host."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.fixture
def trainer():
    lengths = LengthSampling(full_share=0.25)
    trainer = trainer_of(
        TOKENIZER, replace(TRAINING, log_every=LOG_EVERY, steps=20, lengths=lengths)
    )
    trainer._on_gpu = True
    return trainer


def test_nothing_is_read_back_between_two_rows_of_the_history(trainer):
    counts, run = [], trainer.run()
    for _ in range(2 * LOG_EVERY):
        with Reads() as reads:
            next(run)
        counts.append(reads.count)
    assert [count > 0 for count in counts] == [False, False, False, True] * 2


def test_a_step_that_is_not_finite_is_named_at_the_next_row(trainer):
    for step in trainer.run():
        if step == LOG_EVERY + 1:
            with torch.no_grad():
                trainer.model.decoder.pixels.bias.fill_(torch.nan)
        if step == LOG_EVERY + 2:
            break
    with pytest.raises(DivergedError, match=rf"step {LOG_EVERY + 2}\b"):
        trainer.state()
    with pytest.raises(DivergedError, match=rf"step {LOG_EVERY + 2}\b"):
        [*trainer.run()]
