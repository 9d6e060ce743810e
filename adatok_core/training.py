"""Training of the tokenizer, resumable bit for bit.

Every random draw is a pure function of the seed and the step, so the state of a run is its
weights, their averages, the optimizers' moments and the step: no generator has to be saved.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from adatok_core.adversarial import Adversary
from adatok_core.averages import update_average
from adatok_core.batches import batch_indices, step_generator
from adatok_core.budgets import sample_lengths
from adatok_core.build import build_tokenizer
from adatok_core.config import TokenizerConfig, TrainingConfig
from adatok_core.losses import perceptual_distance, pixel_distance
from adatok_core.parameters import Trainable, decay_groups, freeze, load_start
from adatok_core.schedule import learning_rate
from adatok_core.tokenizer import to_float
from adatok_core.training_state import DivergedError, TrainingState, pack, unpack

CALIBRATION_IMAGES = 256
# A cross-entropy beside a pixel loss of about 0.01.
HALTING_WEIGHT = 0.01

LoadImages = Callable[[Tensor], Tensor]
FeatureMaps = Callable[[Tensor], Sequence[Tensor]]


class TokenizerTrainer:
    """Trains an elastic tokenizer on `count` images that `load(indices [b])` returns as uint8.

    Args:
        feature_maps: differentiable maps of float images `[B, 3, H, W]` in `[0, 1]`, for the
            perceptual loss.
        start: weights of a trained tokenizer to go on from; they may lack adapters.
        trainable: what learns: `all`, or with `start` the `decoder` or its adapters (`heads`);
            the rest then stays as it is, to the bit, and the quantizer's loss trains nothing.

    Raises:
        ValueError: `feature_maps` is missing, `start` does not fit, or nothing would learn from it.
    """

    def __init__(
        self,
        tokenizer: TokenizerConfig,
        training: TrainingConfig,
        *,
        image_size: int,
        count: int,
        load: LoadImages,
        device: str = "cpu",
        feature_maps: FeatureMaps | None = None,
        start: Mapping[str, Tensor] | None = None,
        trainable: Trainable = "all",
    ):
        if training.perceptual and feature_maps is None:
            raise ValueError("perceptual: the loss needs a network's feature_maps")
        if trainable != "all" and start is None:
            raise ValueError(f"trainable: {trainable} needs the start of a trained tokenizer")
        self.config, self.count, self.load, self.device = training, count, load, device
        self.feature_maps, self.trainable = feature_maps, trainable
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.model = build_tokenizer(tokenizer, image_size=image_size).to(device)
            settings = training.adversarial
            self.adversary = Adversary(settings, device=device) if settings else None
        self.loss_weights = {
            "pixel_loss": 1.0,
            "quantizer_loss": 1.0,
            "halting_loss": HALTING_WEIGHT,
            "perceptual_loss": training.perceptual,
            "adversarial_loss": settings.weight if settings else 0.0,
            # Its gradient is the discriminator's alone, so both sides share one backward pass.
            "discriminator_loss": 1.0,
        }
        if start is None:
            self._calibrate()
        else:
            load_start(self.model, start)
        freeze(self.model, trainable)
        self.ema = copy.deepcopy(self.model).requires_grad_(False)
        groups = decay_groups(self.model, weight_decay=training.weight_decay)
        self.optimizers = {"optimizer": torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)}
        if self.adversary:
            self.optimizers["discriminator_optimizer"] = self.adversary.optimizer
        self.step = 0
        self.history: list[dict[str, float]] = []

    @torch.no_grad()
    def _calibrate(self) -> None:
        """Fit the quantizer's projection to the latents of the first images."""
        config, quantizer = self.config, self.model.quantizer
        first = batch_indices(0, count=self.count, batch=CALIBRATION_IMAGES, seed=config.seed)
        latents = [self.model.encoder(self._images(part)) for part in first.split(config.batch)]
        quantizer.project.calibrate(torch.cat(latents), spread=quantizer.calibrated_spread)

    def _images(self, indices: Tensor) -> Tensor:
        return to_float(self.load(indices).to(self.device))

    def run(self) -> Iterator[int]:
        """Train to the end, yielding the number of finished steps after each one.

        Raises `DivergedError` when a loss or a gradient is no longer finite.
        """
        while self.step < self.config.steps:
            self._train_step()
            yield self.step

    def _train_step(self) -> None:
        config, step = self.config, self.step
        generator = step_generator(config.seed, step)
        indices = batch_indices(step, count=self.count, batch=config.batch, seed=config.seed)
        budgets = self.model.config.budgets
        kept = sample_lengths(budgets, config.batch, config=config.lengths, generator=generator)
        self._prepare()
        row: dict[str, float] = {"step": step + 1}
        for part, part_kept in zip(
            indices.chunk(config.accumulate), kept.chunk(config.accumulate), strict=True
        ):
            losses = self._losses(self._images(part), part_kept.to(self.device), generator)
            total = sum(self.loss_weights[name] * loss for name, loss in losses.items())
            (total / config.accumulate).backward()
            for name, loss in losses.items():
                row[name] = row.get(name, 0.0) + loss.item() / config.accumulate
        row |= self._clip_gradients()
        if not all(map(math.isfinite, row.values())):
            raise DivergedError(f"loss or gradient is not finite at step {step + 1}: {row}")
        row["learning_rate"] = learning_rate(step, config)
        for group in self.optimizers["optimizer"].param_groups:
            group["lr"] = row["learning_rate"]
        for optimizer in self.optimizers.values():
            optimizer.step()
        update_average(self.ema, self.model, decay=config.ema_decay, step=step)
        self.step += 1
        if self.step % config.log_every == 0 or self.step == config.steps:
            self.history.append(row)

    def _prepare(self) -> None:
        """Training mode for what is trained, and no gradients yet."""
        self.model.train()
        if self.trainable != "all":
            self.model.encoder.eval()
            self.model.quantizer.eval()
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)

    def _losses(
        self, images: Tensor, kept: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Loss terms of a micro-batch, unweighted; reconstructions are never clamped.

        Clamped values would get no gradient back into `[0, 1]`.
        """
        config, adversary = self.config, self.adversary
        bf16 = config.precision == "bf16"
        autocast = torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=bf16)
        with autocast:
            reconstruction = self.model(images, kept, generator)
        output = reconstruction.images.float()
        images = images.repeat(len(output) // len(images), 1, 1, 1)
        losses = {
            "pixel_loss": pixel_distance(output, images, kind=config.pixel_loss),
            **reconstruction.losses,
        }
        if config.perceptual:
            with torch.no_grad():
                target = self.feature_maps(images)
            losses["perceptual_loss"] = perceptual_distance(
                self.feature_maps(output), target
            ).mean()
        if adversary and self.step < config.adversarial.start_step:
            losses |= dict.fromkeys(
                ("adversarial_loss", "discriminator_loss"), images.new_zeros(())
            )
        elif adversary:
            with autocast:
                losses["adversarial_loss"] = adversary.generator_loss(output)
                losses["discriminator_loss"] = adversary.discriminator_loss(images, output)
        return losses

    def _clip_gradients(self) -> dict[str, float]:
        """Clip the gradients of the tokenizer and of its adversary, each to the same norm."""
        modules: dict[str, nn.Module] = {"gradient_norm": self.model}
        if self.adversary:
            modules["discriminator_gradient_norm"] = self.adversary.discriminator
        clip = self.config.gradient_clip
        return {
            name: nn.utils.clip_grad_norm_(module.parameters(), clip).item()
            for name, module in modules.items()
        }

    def state(self) -> TrainingState:
        """A copy, on the CPU, of all `load_state` needs to go on as if nothing had happened."""
        return TrainingState(pack(self._parts()), self.step, list(self.history))

    def load_state(self, state: TrainingState) -> None:
        """Go on from `state`; raises `RuntimeError` when it belongs to another shape of model."""
        unpack(self._parts(), state.tensors)
        self.step, self.history = state.step, list(state.history)

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        parts = {"model": self.model, "ema": self.ema, **self.optimizers}
        return parts | ({"discriminator": self.adversary.discriminator} if self.adversary else {})
