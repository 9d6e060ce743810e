"""The tokenizer stage: trains, keeps checkpoints, goes on from the last one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adatok_core.config import TokenizerConfig, TrainingConfig
from adatok_core.ignition import ignition, mean_colour_loss
from adatok_core.lengths import trained_lengths
from adatok_core.tokenizer import parameter_count
from adatok_core.training import StreamImages, TokenizerTrainer
from bench.artifacts.bank import TOKENIZER_WEIGHTS
from bench.config.loader import Loader
from bench.config.settings import parse
from bench.data.augment import Augment
from bench.data.image_set import read_pixels
from bench.data.sources.lazy import LazyPixels, PixelArray
from bench.data.sources.loading import TrainingImages, stream_of
from bench.data.sources.workers import require_cpus
from bench.metrics.perceptual_loss import LossNetwork
from bench.stages.declared.tokenizer import STAGE
from bench.stages.lengths import read_lengths
from bench.stages.training.arithmetic import products
from bench.stages.training.checkpointing import steps_of
from bench.stages.training.early import EarlyEnd
from bench.stages.training.launch import on_ranks
from bench.store.checkpoints import load_tensors, remove_states, save_tensors
from bench.store.stage import StageContext

RESIDENT_BYTES = 2 * 2**30


def run(context: StageContext) -> dict[str, Any]:
    """Train, from the input `start` if there is one, to the last step; leaves the EMA weights.

    The input `lengths` holds those that a policy chose for the images. With several ranks the first
    one writes.

    Raises:
        DivergedError: the loss is not finite; names the step.
        UserError: a batch takes more images than there are, or cannot be shared out to the ranks;
            an image is not what it was; there are fewer CPUs than workers that load images.
        RankError: one of several ranks has died.
        StoppedEarly: others of the arm are ahead, by its rule `stop_early`.
    """
    training = parse(TrainingConfig, context.spec.config["training"], where="training")
    batch, parts = training.batch, training.accumulate
    return on_ranks(context, _train, where="training", batch=batch, parts=parts)


def _train(context: StageContext) -> dict[str, Any]:
    with products(context.spec.resources.device) as kind:
        return {**_trained(context), **({} if kind == "fp32" else {"matrix_products": kind})}


def _trained(context: StageContext) -> dict[str, Any]:
    pixels, config = read_pixels(context.inputs["images"]), context.spec.config
    training = parse(TrainingConfig, config["training"], where="training")
    STAGE.require_images(config, len(pixels))
    tokenizer = parse(TokenizerConfig, config["tokenizer"], where="tokenizer")
    device = context.spec.resources.device
    start, lengths = context.inputs.get("start"), context.inputs.get("lengths")
    chosen = torch.from_numpy(read_lengths(lengths)) if lengths else None
    seen, stream = _images(context, pixels, training)
    network, side = LossNetwork.of(training, context.spec.runtime), pixels.shape[-1]
    trainer = TokenizerTrainer(
        tokenizer,
        training,
        image_size=side,
        count=len(pixels),
        load=_loader(seen, device),
        stream=stream,
        device=device,
        start=load_tensors(start / TOKENIZER_WEIGHTS)[0] if start else None,
        trainable=config.get("trainable", "all"),
        chosen=chosen,
        perceptual_loss=network.loss(resolution=side, device=device) if network else None,
    )
    leads = trainer.ranks.rank == 0
    judge = EarlyEnd(context, trainer).at if leads else lambda step, keep: None
    for step in steps_of(context, trainer, judge=judge):
        if leads and step % training.log_every == 0:
            loss = trainer.history[-1]["pixel_loss"]
            context.curve(trainer.history)
            context.progress(step, training.steps, f"steps, loss {loss:.4f}")
    if not leads:
        return {}
    save_tensors(
        context.work / TOKENIZER_WEIGHTS,
        trainer.ema.state_dict(),
        about={
            "tokenizer": config["tokenizer"],
            "image_size": int(side),
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


def _loader(seen: TrainingImages, device: str) -> Callable[[Tensor], Tensor]:
    """Images of indices `[b]`; a small set lies on the GPU, so that a step waits for no copy."""
    pixels = seen.pixels
    if (
        torch.device(device).type == "cpu"
        or isinstance(pixels, LazyPixels)
        or math.prod(pixels.shape) > RESIDENT_BYTES
    ):
        return lambda indices: seen.batch(indices, torch.zeros_like(indices))
    resident = torch.tensor(np.asarray(pixels), device=device)
    return lambda indices: resident[indices.to(device)]


def _some(pixels: PixelArray) -> Tensor:
    """Up to a thousand of the images `[n, 3, H, W]`, from all over the set."""
    places = np.linspace(0, len(pixels) - 1, min(len(pixels), 1000)).astype(int)
    return torch.from_numpy(pixels[places])


def _images(
    context: StageContext, pixels: PixelArray, training: TrainingConfig
) -> tuple[TrainingImages, StreamImages | None]:
    """The images, and a stream of them where they are decoded, or others in every epoch."""
    config, lazy = context.spec.config, isinstance(pixels, LazyPixels)
    augment = config.get("augment")
    loader = parse(Loader, context.spec.runtime.get("loader", {}), where="loader")
    seen = TrainingImages(
        pixels,
        augment=parse(Augment, augment, where="data.augment") if augment else None,
        seed=training.seed,
        cache_bytes=loader.cache_mb * 2**20,
    )
    if not lazy and not augment:
        return seen, None
    workers = loader.workers if lazy else 0  # What is in an array is there at once.
    require_cpus(workers, key="loader.workers")
    stream = stream_of(
        seen,
        steps=training.steps,
        batch=training.batch,
        accumulate=training.accumulate,
        seed=training.seed,
        workers=workers,
        prefetch=loader.prefetch,
        pinned=context.spec.resources.device == "cuda",
    )
    return seen, stream
