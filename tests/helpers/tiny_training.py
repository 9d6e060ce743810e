"""The training of a small tokenizer on random images, to be varied."""

from dataclasses import replace

import torch

from adatok_core.config import FSQ, LoRA, TokenizerConfig, TrainingConfig
from adatok_core.training import TokenizerTrainer

TOKENIZER = TokenizerConfig(
    budgets=(1, 2, 4),
    patch_size=4,
    width=16,
    encoder_depth=1,
    decoder_depth=1,
    attention_heads=2,
    quantizer=FSQ(levels=(5, 3)),
    lora=LoRA(rank=2),
)
PLAIN = replace(TOKENIZER, lora=LoRA(rank=0))
TRAINING = TrainingConfig(
    steps=6, batch=8, learning_rate=1e-2, warmup_steps=2, ema_decay=0.9, log_every=2
)


def random_images(count, size):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


IMAGES = random_images(24, 8)


def trainer_of(tokenizer, training, *, images=IMAGES, load=None, **more):
    """A trainer on these images, or what `load` makes of their indices."""
    return TokenizerTrainer(
        tokenizer,
        training,
        image_size=images.shape[-1],
        count=len(images),
        load=load or images.__getitem__,
        **more,
    )


def run_to(trainer, step):
    for done in trainer.run():
        if done == step:
            return trainer
    raise AssertionError("the run ended before the step")


def ended(trainer):
    for _ in trainer.run():
        pass
    return trainer


def weights(trainer):
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
