"""One step of a tokenizer's training on tensors that have shapes alone: its FLOPs and its bytes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.run.planning.apart import apart

if TYPE_CHECKING:
    from adatok_core.config import TokenizerConfig, TrainingConfig
    from adatok_core.parameters import Trainable
    from bench.metrics.perceptual_loss import LossNetwork


@dataclass(frozen=True)
class Step:
    """FLOPs of a step, and the most bytes it takes, weights and optimizers included."""

    flops: float
    bytes: float


@functools.cache  # Seeds, steps and rates change nothing.
def step_of_shapes(
    tokenizer: TokenizerConfig,
    training: TrainingConfig,
    size: int,
    images: int,
    trainable: Trainable = "all",
    network: LossNetwork | None = None,
) -> Step | None:
    """A step of so many images in one pass, all decoded at full length.

    None of a tokenizer that looks at values on its way.
    """
    if tokenizer.decoders != "shared":
        return None  # Images are divided among them by their values.
    return apart(_measured, tokenizer, training, size, images, trainable, network)


def _measured(
    tokenizer: TokenizerConfig,
    training: TrainingConfig,
    size: int,
    images: int,
    trainable: Trainable,
    network: LossNetwork | None,
) -> Step | None:
    import torch

    from adatok_core.build import build_tokenizer
    from adatok_core.training import TokenizerTrainer
    from bench.run.planning.counting import counting
    from bench.run.planning.shapes import NO_VALUES, Saved, shapes_alone, training_step_bytes

    loss = network.loss(resolution=size) if network else None
    try:
        with shapes_alone():
            trainer = TokenizerTrainer(
                tokenizer,
                training,
                image_size=size,
                count=images,
                load=lambda indices: torch.empty(0),
                perceptual_loss=loss,
                start=build_tokenizer(tokenizer, image_size=size).state_dict(),
                trainable=trainable,
            )
            modules: list[torch.nn.Module] = [trainer.model]
            modules += [trainer.adversary.discriminator] if trainer.adversary else []
            weights = [p for module in modules for p in module.parameters()]
            saved = Saved(besides=weights)
            with saved, counting() as counter:
                trainer.gradients(
                    torch.zeros(images, 3, size, size, dtype=torch.uint8),
                    torch.full((training.lengths.decodings, images), tokenizer.max_tokens),
                )
            taken = training_step_bytes(modules, saved.bytes)
            return Step(float(counter.get_total_flops()), taken)
    except NO_VALUES:
        return None
