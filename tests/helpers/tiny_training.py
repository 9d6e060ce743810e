"""The training of a small tokenizer on random images, to be varied."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from adatok_core.config import FSQ, LoRA, TokenizerConfig, TrainingConfig
from adatok_core.losses import perceptual_distance
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


def feature_maps(images):
    """Two maps of a network with fixed weights."""
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    first = F.conv2d(images, weight).relu()
    return [first, F.avg_pool2d(first, 2)]


def perceptual_loss(decoded, original):
    """The distance by these maps."""
    return perceptual_distance(feature_maps(decoded), feature_maps(original))


def varied(
    tokenizer=TOKENIZER, *, load=None, stream=None, loss=perceptual_loss, chosen=None, **options
):
    """The trainer with other options of its training."""
    given = {"load": load, "stream": stream, "perceptual_loss": loss, "chosen": chosen}
    return trainer_of(tokenizer, replace(TRAINING, **options), **given)


def trained(tokenizer=TOKENIZER, **options):
    return ended(varied(tokenizer, **options))


def assert_same_state(a, b):
    assert (a.step, a.history) == (b.step, b.history)
    assert a.tensors.keys() == b.tensors.keys()
    for name, tensor in a.tensors.items():
        assert torch.equal(tensor, b.tensors[name]), name


def differs(a, b):
    """Whether two trainers ended with different weights, by more than rounding."""
    pairs = zip(weights(a).values(), weights(b).values(), strict=True)
    return max((x - y).abs().max().item() for x, y in pairs) > 1e-5


def plainly_trained(**options):
    """Trained by plain optimizers: Adam's first steps blow rounding up where gradients vanish."""
    trainer = varied(gradient_clip=1e9, **options)
    parts = {"optimizer": "model", "discriminator_optimizer": "discriminator"}
    trainer.optimizers = {
        name: torch.optim.SGD(trainer.modules[part].parameters(), lr=1e-2)
        for name, part in parts.items()
        if part in trainer.modules
    }
    return ended(trainer)


def assert_same_but_for_rounding(one, other):
    for (name, a), b in zip(
        one.state().tensors.items(), other.state().tensors.values(), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0, msg=name)
    for a, b in zip(one.history, other.history, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
