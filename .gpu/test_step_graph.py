"""A step as a CUDA graph; needs a GPU, and is skipped without one."""

import pytest
import torch

from adatok_core.config import FSQ, LengthSampling, TokenizerConfig, TrainingConfig
from adatok_core.training import TokenizerTrainer
from adatok_core.training_state import DivergedError

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
IMAGES = torch.randint(
    0, 256, (64, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def trainer_of(*, device="cuda", as_graph=True, **settings):
    settings = {"steps": 20, "batch": 16, "warmup_steps": 5, "log_every": 5, **settings}
    trainer = TokenizerTrainer(
        TokenizerConfig(
            budgets=(1, 2, 4),
            patch_size=4,
            width=32,
            encoder_depth=2,
            decoder_depth=2,
            attention_heads=2,
            quantizer=FSQ(levels=(8, 5)),
        ),
        TrainingConfig(lengths=LengthSampling(full_share=0.25), **settings),
        image_size=16,
        count=len(IMAGES),
        load=lambda indices: IMAGES[indices],
        device=device,
    )
    if not as_graph:
        trainer._graph = None
    return trainer


def losses(trainer):
    for _ in trainer.run():
        pass
    return torch.tensor([row["pixel_loss"] for row in trainer.history])


@pytest.mark.parametrize("settings", [{}, {"accumulate": 2}, {"precision": "bf16"}])
def test_a_captured_step_does_what_single_kernels_do(settings):
    captured, plain = trainer_of(**settings), trainer_of(as_graph=False, **settings)
    torch.testing.assert_close(losses(captured), losses(plain), rtol=1e-3, atol=0)
    assert captured._graph.graph is not None
    for mine, other in zip(captured.ema.parameters(), plain.ema.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=2e-3)


def test_the_gpu_trains_as_the_cpu_does():
    torch.testing.assert_close(
        losses(trainer_of()), losses(trainer_of(device="cpu")), rtol=1e-2, atol=0
    )


def test_a_resumed_training_ends_with_the_same_losses():
    whole, first, second = trainer_of(), trainer_of(), trainer_of()
    for step in first.run():
        if step == 10:
            break
    second.load_state(first.state())
    torch.testing.assert_close(losses(second), losses(whole), rtol=1e-4, atol=0)


def test_a_step_that_is_not_finite_is_named_at_the_next_row():
    trainer = trainer_of()
    for step in trainer.run():
        if step == 7:
            with torch.no_grad():
                trainer.model.decoder.pixels.bias.fill_(torch.nan)
            break
    with pytest.raises(DivergedError, match=r"step 8\b"):
        for _ in trainer.run():
            pass
