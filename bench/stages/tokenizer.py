"""The tokenizer stage: trains, keeps checkpoints, goes on from the last one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adatok_core.config import TokenizerConfig, TrainingConfig
from adatok_core.ignition import ignition, mean_colour_loss
from adatok_core.lengths import trained_lengths
from adatok_core.tokenizer import parameter_count
from adatok_core.training import TokenizerTrainer
from bench.artifacts.bank import TOKENIZER_WEIGHTS
from bench.config.settings import parse
from bench.data.image_set import read_image_set
from bench.errors import UserError
from bench.metrics.networks.lite import Lite0
from bench.stages.lengths import read_lengths
from bench.store.checkpoints import (
    load_state,
    load_tensors,
    remove_states,
    save_state,
    save_tensors,
)
from bench.store.stage import StageContext

RESIDENT_BYTES = 2 * 2**30


def run(context: StageContext) -> dict[str, Any]:
    """Train, from the input `start` if there is one, to the last step; leaves the EMA weights.

    The input `lengths` holds those that a policy chose for the images.

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
    start, lengths = context.inputs.get("start"), context.inputs.get("lengths")
    chosen = torch.from_numpy(read_lengths(lengths)) if lengths else None
    trainer = TokenizerTrainer(
        tokenizer,
        training,
        image_size=pixels.shape[-1],
        count=len(pixels),
        load=_loader(pixels, device),
        device=device,
        start=load_tensors(start / TOKENIZER_WEIGHTS)[0] if start else None,
        trainable=config.get("trainable", "all"),
        chosen=chosen,
        feature_maps=_feature_maps(pixels.shape[-1], device) if training.perceptual else None,
    )
    state = load_state(context.work)
    if state is not None:
        trainer.load_state(state)
    for step in trainer.run():
        if step % training.checkpoint_every == 0 and step < training.steps:
            save_state(context.work, trainer.state())
        if step % training.log_every == 0:
            loss = trainer.history[-1]["pixel_loss"]
            context.curve(trainer.history)
            context.progress(step, training.steps, f"steps, loss {loss:.4f}")
    save_tensors(
        context.work / TOKENIZER_WEIGHTS,
        trainer.ema.state_dict(),
        about={
            "tokenizer": config["tokenizer"],
            "image_size": int(pixels.shape[-1]),
            "trained_lengths": list(
                trained_lengths(tokenizer.budgets, training.lengths, chosen=chosen)
            ),
        },
    )
    remove_states(context.work)
    passes = trainer.passes()
    judged = ignition(
        trainer.history, mean_colour=mean_colour_loss(_some(pixels), kind=training.pixel_loss)
    )
    return {
        "history": trainer.history,
        "parameters": parameter_count(trainer.model),
        "images_seen": training.steps * training.batch,
        "decoder_passes": passes.images,
        "token_passes": passes.tokens,
        "ignition": judged.verdict,
        "explained": judged.explained,
    }


def _loader(pixels: NDArray[np.uint8], device: str) -> Callable[[Tensor], Tensor]:
    """Images of indices `[b]`; a small set lies on the GPU, so that a step waits for no copy."""
    if torch.device(device).type == "cpu" or pixels.nbytes > RESIDENT_BYTES:
        return lambda indices: torch.from_numpy(pixels[indices.numpy()])
    resident = torch.tensor(pixels, device=device)
    return lambda indices: resident[indices.to(device)]


def _some(pixels: NDArray[np.uint8]) -> Tensor:
    """Up to a thousand of the images `[n, 3, H, W]`, from all over the set."""
    places = np.linspace(0, len(pixels) - 1, min(len(pixels), 1000)).astype(int)
    return torch.from_numpy(pixels[places])


def _feature_maps(resolution: int, device: str) -> Callable[[Tensor], Sequence[Tensor]]:
    """Lite0's maps at the images' own resolution, for the perceptual loss."""
    network = Lite0(resolution).to(device)
    return lambda images: network(images)[1]
