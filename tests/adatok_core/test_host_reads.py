"""What a training on a GPU reads back, shown on a CPU that is told it were one."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from adatok_core.config import FSQ, LengthSampling, TokenizerConfig, TrainingConfig
from adatok_core.training import TokenizerTrainer
from adatok_core.training_state import DivergedError

IMAGES = torch.randint(
    0, 256, (32, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
LOG_EVERY = 4


class Reads(TorchDispatchMode):
    """Counts the values that are handed to the host."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.fixture
def trainer():
    tokenizer = TokenizerConfig(
        budgets=(1, 2, 4),
        patch_size=4,
        width=16,
        encoder_depth=1,
        decoder_depth=1,
        attention_heads=2,
        quantizer=FSQ(levels=(8, 5)),
    )
    training = TrainingConfig(
        steps=20,
        batch=8,
        warmup_steps=2,
        log_every=LOG_EVERY,
        lengths=LengthSampling(full_share=0.25),
    )
    trainer = TokenizerTrainer(
        tokenizer, training, image_size=8, count=len(IMAGES), load=IMAGES.__getitem__
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
