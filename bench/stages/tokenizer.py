"""The tokenizer stage: trains, keeps checkpoints, goes on from the last one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from adatok_core.config import TokenizerConfig, TrainingConfig
from adatok_core.tokenizer import ElasticTokenizer, parameter_count
from adatok_core.training import TokenizerTrainer
from bench.checkpoints import load_state, load_tensors, save_state, save_tensors
from bench.data.image_set import read_image_set
from bench.settings import parse
from bench.stage import StageContext

WEIGHTS = "tokenizer.safetensors"
CHECKPOINT = "checkpoint.safetensors"


def run(context: StageContext) -> dict[str, Any]:
    """Train to the last step; the artifact holds the averaged (EMA) weights.

    Raises:
        DivergedError: the loss is not finite; names the step.
    """
    images = read_image_set(context.inputs["images"])
    pixels = images.pixels
    training = parse(TrainingConfig, context.spec.config["training"], where="training")
    trainer = TokenizerTrainer(
        parse(TokenizerConfig, context.spec.config["tokenizer"], where="tokenizer"),
        training,
        image_size=pixels.shape[-1],
        count=len(pixels),
        load=lambda indices: torch.from_numpy(pixels[indices.numpy()]),
        device=context.spec.resources.device,
    )
    checkpoint = context.work / CHECKPOINT
    if checkpoint.exists():
        trainer.load_state(load_state(checkpoint))
    for step in trainer.run():
        if step % training.checkpoint_every == 0 and step < training.steps:
            save_state(checkpoint, trainer.state())
        if step % training.log_every == 0:
            context.progress(step, training.steps, f"loss {trainer.history[-1]['pixel_loss']:.4f}")
    save_tensors(
        context.work / WEIGHTS,
        trainer.ema.state_dict(),
        about={
            "tokenizer": context.spec.config["tokenizer"],
            "image_size": int(pixels.shape[-1]),
        },
    )
    checkpoint.unlink(missing_ok=True)
    return {
        "history": trainer.history,
        "parameters": parameter_count(trainer.model),
        "images_seen": training.steps * training.batch,
    }


def load_tokenizer(artifact: Path, *, device: str = "cpu") -> ElasticTokenizer:
    """The trained tokenizer of an artifact, for evaluation."""
    tensors, about = load_tensors(artifact / WEIGHTS)
    config = parse(TokenizerConfig, about["tokenizer"], where=str(artifact))
    tokenizer = ElasticTokenizer(config, image_size=about["image_size"])
    tokenizer.load_state_dict(tensors)
    return tokenizer.to(device).eval()
