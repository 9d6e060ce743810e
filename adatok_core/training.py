"""Training of the tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from adatok_core.adversarial import Adversary
from adatok_core.batches import batch_indices, step_generator
from adatok_core.budgets import sample_lengths
from adatok_core.build import build_tokenizer
from adatok_core.config import TokenizerConfig, TrainingConfig
from adatok_core.losses import perceptual_distance, pixel_distance
from adatok_core.parameters import Trainable, freeze, load_start
from adatok_core.tokenizer import ElasticTokenizer, to_float
from adatok_core.trainer import AveragedTrainer

CALIBRATION_IMAGES = 256
# A cross-entropy beside a pixel loss of about 0.01.
HALTING_WEIGHT = 0.01

LoadImages = Callable[[Tensor], Tensor]
StreamImages = Callable[[int], Iterator[Tensor]]
FeatureMaps = Callable[[Tensor], Sequence[Tensor]]


class TokenizerTrainer(AveragedTrainer[ElasticTokenizer, TrainingConfig]):
    """Trains an elastic tokenizer on `count` images that `load(indices [b])` returns as uint8.

    Args:
        stream: gives the images of the micro-batches from a step on, in place of `load`, which
            still gives those that the quantizer is fitted to.
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
        stream: StreamImages | None = None,
        device: str = "cpu",
        feature_maps: FeatureMaps | None = None,
        start: Mapping[str, Tensor] | None = None,
        trainable: Trainable = "all",
    ):
        if training.perceptual and feature_maps is None:
            raise ValueError("perceptual: the loss needs a network's feature_maps")
        if trainable != "all" and start is None:
            raise ValueError(f"trainable: {trainable} needs the start of a trained tokenizer")
        self.count, self.load, self.stream = count, load, stream
        self._streamed: tuple[int, Iterator[Tensor]] | None = None
        self.feature_maps, self.trainable = feature_maps, trainable
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            model = build_tokenizer(tokenizer, image_size=image_size).to(device)
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
            self._calibrate(model, training, device)
        else:
            load_start(model, start)
        freeze(model, trainable)
        super().__init__(training, model=model, betas=(0.9, 0.99), device=device)
        if self.adversary:
            self.modules["discriminator"] = self.adversary.discriminator
            self.optimizers["discriminator_optimizer"] = self.adversary.optimizer

    @torch.no_grad()
    def _calibrate(self, model: ElasticTokenizer, config: TrainingConfig, device: str) -> None:
        """Fit the quantizer's projection to the latents of the first images."""
        first = batch_indices(0, count=self.count, batch=CALIBRATION_IMAGES, seed=config.seed)
        latents = [model.encoder(self._images(part, device)) for part in first.split(config.batch)]
        spread = model.quantizer.calibrated_spread
        model.quantizer.project.calibrate(torch.cat(latents), spread=spread)

    def _images(self, indices: Tensor, device: str) -> Tensor:
        return to_float(self.load(indices).to(device))

    def _micro_batches(self) -> Iterator[Tensor]:
        """The step's images, a micro-batch at a time."""
        config, step = self.config, self.step
        if self.stream is None:
            indices = batch_indices(step, count=self.count, batch=config.batch, seed=config.seed)
            for part in indices.chunk(config.accumulate):
                yield self._images(part, self.device)
            return
        if self._streamed is None or self._streamed[0] != step:
            self._streamed = step, self.stream(step)
        images = self._streamed[1]
        for _ in range(config.accumulate):
            yield to_float(next(images).to(self.device, non_blocking=True))
        self._streamed = step + 1, images

    def _backward(self) -> dict[str, float]:
        config, step = self.config, self.step
        generator = step_generator(config.seed, step)
        budgets = self.model.config.budgets
        kept = sample_lengths(budgets, config.batch, config=config.lengths, generator=generator)
        if self.trainable != "all":
            self.model.encoder.eval()
            self.model.quantizer.eval()
        means: dict[str, float] = {}
        for images, part_kept in zip(
            self._micro_batches(), kept.chunk(config.accumulate), strict=True
        ):
            losses = self._losses(images, part_kept.to(self.device), generator)
            weighted = (self.loss_weights[name] * loss for name, loss in losses.items())
            total = sum(weighted, start=images.new_zeros(()))
            (total / config.accumulate).backward()
            for name, loss in losses.items():
                means[name] = means.get(name, 0.0) + loss.item() / config.accumulate
        return means

    def _losses(
        self, images: Tensor, kept: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Loss terms of a micro-batch, unweighted; reconstructions are never clamped.

        Clamped values would get no gradient back into `[0, 1]`.
        """
        config, adversary = self.config, self.adversary
        autocast = self._autocast()
        with autocast:
            reconstruction = self.model(images, kept, generator)
        output = reconstruction.images.float()
        images = images.repeat(len(output) // len(images), 1, 1, 1)
        losses = {
            "pixel_loss": pixel_distance(output, images, kind=config.pixel_loss),
            **reconstruction.losses,
        }
        if self.feature_maps and config.perceptual:
            with torch.no_grad():
                target = self.feature_maps(images)
            losses["perceptual_loss"] = perceptual_distance(
                self.feature_maps(output), target
            ).mean()
        if adversary and self.step < adversary.start_step:
            losses |= dict.fromkeys(
                ("adversarial_loss", "discriminator_loss"), images.new_zeros(())
            )
        elif adversary:
            with autocast:
                losses["adversarial_loss"] = adversary.generator_loss(output)
                losses["discriminator_loss"] = adversary.discriminator_loss(images, output)
        return losses

    def _clip_gradients(self) -> dict[str, float]:
        norms = super()._clip_gradients()
        if self.adversary:
            norms["discriminator_gradient_norm"] = self._clip(self.adversary.discriminator)
        return norms
