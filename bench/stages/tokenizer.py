"""The tokenizer stage: trains, keeps checkpoints, goes on from the last one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from adatok_core.budgets import trained_lengths
from adatok_core.config import TokenizerConfig, TrainingConfig
from adatok_core.tokenizer import parameter_count
from adatok_core.training import TokenizerTrainer
from bench.artifacts.bank import TOKENIZER_WEIGHTS
from bench.config.settings import parse
from bench.data.image_set import read_image_set
from bench.errors import UserError
from bench.metrics.networks.lite import Lite0
from bench.store.checkpoints import load_tensors, remove_states, save_tensors, steps_of
from bench.store.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Train, or fine-tune the input `start`, to the last step; the artifact holds the EMA weights.

    Raises:
        DivergedError: the loss is not finite; names the step.
        UserError: a batch takes more images than there are.
    """
    images = read_image_set(context.inputs["images"])
    pixels, config = images.pixels, context.spec.config
    training = parse(TrainingConfig, config["training"], where="training")
    if training.batch > len(pixels):
        raise UserError(
            f"training.batch: {training.batch} exceeds the {len(pixels)} training images; lower it "
            "or add images"
        )
    tokenizer = parse(TokenizerConfig, config["tokenizer"], where="tokenizer")
    device = context.spec.resources.device
    start = context.inputs.get("start")
    trainer = TokenizerTrainer(
        tokenizer,
        training,
        image_size=pixels.shape[-1],
        count=len(pixels),
        load=lambda indices: torch.from_numpy(pixels[indices.numpy()]),
        device=device,
        start=load_tensors(start / TOKENIZER_WEIGHTS)[0] if start else None,
        trainable=config.get("trainable", "all"),
        feature_maps=feature_maps(pixels.shape[-1], device) if training.perceptual else None,
    )
    for step in steps_of(context, trainer):
        if step % training.log_every == 0:
            loss = trainer.history[-1]["pixel_loss"]
            context.progress(step, training.steps, f"steps, loss {loss:.4f}")
    save_tensors(
        context.work / TOKENIZER_WEIGHTS,
        trainer.ema.state_dict(),
        about={
            "tokenizer": config["tokenizer"],
            "image_size": int(pixels.shape[-1]),
            "trained_lengths": sorted(trained_lengths(tokenizer.budgets, training.lengths)),
        },
    )
    remove_states(context.work)
    return {
        "history": trainer.history,
        "parameters": parameter_count(trainer.model),
        "images_seen": training.steps * training.batch,
    }


def feature_maps(resolution: int, device: str) -> Callable[[Tensor], Sequence[Tensor]]:
    """Lite0's maps at the images' own resolution, for the perceptual loss."""
    network = Lite0(resolution).to(device)
    return lambda images: network(images)[1]
