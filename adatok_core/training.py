"""Training of the tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from adatok_core.adversarial import Adversary
from adatok_core.alignment import FirstLayer, alignment_losses
from adatok_core.batches import batch_indices, step_generator
from adatok_core.build import build_tokenizer
from adatok_core.compiled import compile_blocks
from adatok_core.config import TokenizerConfig, TrainingConfig
from adatok_core.config.checks import require_shares
from adatok_core.config.lengths import lengths_problem
from adatok_core.length_weights import LengthWeights
from adatok_core.lengths import require_chosen, step_lengths
from adatok_core.losses import pixel_distance, pixel_distances
from adatok_core.parameters import Trainable, freeze, load_start
from adatok_core.ranks import Ranks
from adatok_core.tokenizer import ElasticTokenizer, to_float
from adatok_core.trainer import AveragedTrainer
from adatok_core.transformer import Block

CALIBRATION_IMAGES = 256
# A cross-entropy beside a pixel loss of about 0.01.
HALTING_WEIGHT = 0.01

LoadImages = Callable[[Tensor], Tensor]
StreamImages = Callable[[int], Iterator[Tensor]]
PerceptualLoss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Passes:
    """What a training costs the decoder: images decoded, and the tokens that they kept."""

    images: int
    tokens: int


class TokenizerTrainer(AveragedTrainer[ElasticTokenizer, TrainingConfig]):
    """Trains an elastic tokenizer on `count` images that `load(indices [b])` returns as uint8.

    Args:
        stream: gives this rank's part of the micro-batches from a step on, in place of `load`,
            which still gives those that the quantizer is fitted to.
        perceptual_loss: distances `[B]` of reconstructions from their originals, both float
            `[B, 3, H, W]`, the originals in `[0, 1]`; with a gradient in the first.
        start: weights of a trained tokenizer to go on from; they may lack adapters.
        trainable: what learns: `all`, or with `start` the `decoder` or its adapters (`heads`);
            the rest then stays as it is, to the bit, and the quantizer's loss trains nothing.

    Raises:
        ValueError: `perceptual_loss` is missing, `start` does not fit, nothing would learn from it,
            or the batch cannot be shared out to the ranks.
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
        perceptual_loss: PerceptualLoss | None = None,
        start: Mapping[str, Tensor] | None = None,
        trainable: Trainable = "all",
        chosen: Tensor | None = None,
    ):
        if training.perceptual and perceptual_loss is None:
            raise ValueError("perceptual: a perceptual_loss is needed")
        if trainable != "all" and start is None:
            raise ValueError(f"trainable: {trainable} needs the start of a trained tokenizer")
        lengths, budgets = training.lengths, tokenizer.budgets
        problem = lengths_problem(tokenizer, lengths)
        if problem:
            raise ValueError(problem)
        require_chosen(chosen, budgets=budgets, count=count, config=lengths)
        require_shares(training.batch, parts=training.accumulate, ranks=Ranks.here().count)
        self.chosen = chosen
        self.count, self.load, self.stream = count, load, stream
        self._streamed: tuple[int, Iterator[Tensor]] | None = None
        self.perceptual_loss, self.trainable = perceptual_loss, trainable
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
            "distillation_loss": lengths.distillation.weight if lengths.distillation else 0.0,
            "alignment_loss": lengths.self_alignment,
            # Their gradients are the discriminator's alone, so both sides share one backward pass.
            "discriminator_loss": 1.0,
            "lecam_loss": settings.lecam if settings else 0.0,
        }
        if start is None:
            self._calibrate(model, training, device)
        else:
            load_start(model, start)
        freeze(model, trainable)
        super().__init__(training, model=model, betas=(0.9, 0.99), device=device)
        if training.compile:
            compile_blocks(one for one in model.modules() if isinstance(one, Block))
        if self.adversary:
            self.modules["discriminator"] = self.adversary.discriminator
            if self.adversary.lecam is not None:
                self.modules["lecam"] = self.adversary.lecam
            self.optimizers["discriminator_optimizer"] = self.adversary.optimizer
        self.length_weights: LengthWeights | None = None
        if lengths.weights != "uniform":
            weights = LengthWeights(budgets, training.batch, config=lengths, chosen=chosen)
            self.length_weights = weights.to(device)
            self.modules["length_weights"] = self.length_weights
        self.first_layer = FirstLayer(model) if lengths.aligns_features else None

    @torch.no_grad()
    def _calibrate(self, model: ElasticTokenizer, config: TrainingConfig, device: str) -> None:
        """Fit the quantizer's projection to the latents of the first images, few ones repeated."""
        first = batch_indices(0, count=self.count, batch=CALIBRATION_IMAGES, seed=config.seed)
        few = self.count < CALIBRATION_IMAGES
        shown, places = first.unique(return_inverse=True) if few else (first, first)
        latents = torch.cat(
            [model.encoder(self._images(part, device)) for part in shown.split(config.batch)]
        )
        if few:  # None was encoded twice.
            latents = latents[places.to(device)]
        spread = model.quantizer.calibrated_spread
        model.quantizer.project.calibrate(latents, spread=spread)

    def _images(self, indices: Tensor, device: str) -> Tensor:
        return to_float(self.load(indices).to(device))

    def _lengths(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Lengths `[R, B]` at which a step decodes the images `indices [B]`."""
        return step_lengths(
            self.model.config.budgets,
            self.config.batch,
            config=self.config.lengths,
            generator=generator,
            chosen=None if self.chosen is None else self.chosen[indices],
        )

    def passes(self) -> Passes:
        """What the whole training decodes, from the draws of its steps, which are made again."""
        config, tokens = self.config, 0
        for step in range(config.steps):
            indices = batch_indices(step, count=self.count, batch=config.batch, seed=config.seed)
            tokens += int(self._lengths(indices, step_generator(config.seed, step)).sum())
        images = config.steps * config.batch * config.lengths.decodings
        return Passes(self.model.passes * images, self.model.passes * tokens)

    def gradients(self, pixels: Tensor, kept: Tensor) -> dict[str, Tensor]:
        """Add the gradients of a batch `[B, 3, H, W]`, uint8, at lengths `[R, B]`; its losses.

        It is what a step computes, for whoever measures one; no weight moves.
        """
        self.generator = step_generator(self.config.seed, self.step)
        return self._backward({"pixels": pixels, "kept": kept})

    def _draw(self) -> dict[str, Tensor]:
        """Images `[B, 3, H, W]` as uint8, and the lengths `[R, B]` at which each is decoded."""
        config, step = self.config, self.step
        self.generator = step_generator(config.seed, step)
        indices = batch_indices(step, count=self.count, batch=config.batch, seed=config.seed)
        kept = self._lengths(indices, self.generator)
        if self.ranks.count == 1:
            return {"pixels": torch.cat(self._parts(indices)), "kept": kept.to(self.device)}
        mine = self.ranks.places(config.batch, parts=config.accumulate)
        pixels = torch.cat(self._parts(indices[mine]))
        return {"pixels": pixels, "kept": kept[:, mine].to(self.device)}

    def _parts(self, indices: Tensor) -> list[Tensor]:
        """Images of this rank's micro-batches: loaded, or the next ones of the stream."""
        count, step = self.config.accumulate, self.step
        if self.stream is None:
            return [self.load(part).to(self.device) for part in indices.chunk(count)]
        if self._streamed is None or self._streamed[0] != step:
            self._streamed = step, self.stream(step)
        images = self._streamed[1]
        parts = [next(images).to(self.device, non_blocking=True) for _ in range(count)]
        self._streamed = step + 1, images
        return parts

    def _backward(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        config = self.config
        if self.trainable != "all":
            self.model.encoder.eval()
            self.model.quantizer.eval()
        kept = drawn["kept"]
        weights = torch.ones(kept.shape, device=kept.device)
        if self.length_weights is not None:
            weights = self.length_weights.of(kept)
            self.length_weights.forget()
        means: dict[str, Tensor] = {}
        for pixels, part_kept, part_weights in zip(
            drawn["pixels"].chunk(config.accumulate),
            kept.chunk(config.accumulate, dim=1),
            weights.chunk(config.accumulate, dim=1),
            strict=True,
        ):
            images = to_float(pixels)
            losses = self._losses(images, part_kept.flatten(), part_weights.flatten())
            weighted = (self.loss_weights[name] * loss for name, loss in losses.items())
            total = sum(weighted, start=images.new_zeros(()))
            (total / config.accumulate).backward()
            for name, loss in losses.items():
                share = loss.detach() / config.accumulate
                means[name] = means[name] + share if name in means else share
        if self.adversary:
            self.adversary.end_step(self.step)
        return means

    def _losses(self, images: Tensor, kept: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Loss terms of a micro-batch at lengths `kept [R * B]`; reconstructions are never clamped.

        Clamped values would get no gradient back into `[0, 1]`. The terms themselves are
        unweighted; `weights [R * B]` are those of the images in them.
        """
        config, autocast = self.config, self._autocast()
        with autocast:
            reconstruction = self.model(images, kept, self.generator)
        output = reconstruction.images.float()
        decoded = len(output) // len(kept)
        kept, weights = kept.repeat(decoded), weights.repeat(decoded)
        images = images.repeat(len(output) // len(images), 1, 1, 1)
        losses = {
            "pixel_loss": self._pixel_loss(output, images, kept, weights),
            **reconstruction.losses,
        }
        if self.perceptual_loss and config.perceptual:
            losses["perceptual_loss"] = (weights * self.perceptual_loss(output, images)).mean()
        if config.lengths.decodes != "one":
            features = self.first_layer.take(kept) if self.first_layer else None
            losses |= alignment_losses(
                output, features, config=config.lengths, pixel_loss=config.pixel_loss
            )
        if self.adversary:
            with autocast:
                losses |= self.adversary.losses(images, output, step=self.step)
        return losses

    def _pixel_loss(self, output: Tensor, images: Tensor, kept: Tensor, weights: Tensor) -> Tensor:
        kind = self.config.pixel_loss
        if self.length_weights is None:
            return pixel_distance(output, images, kind=kind)
        distances = pixel_distances(output, images, kind=kind)
        self.length_weights.observe(kept, distances)
        return (weights * distances).mean()

    def _clip_gradients(self) -> dict[str, Tensor]:
        norms = super()._clip_gradients()
        if self.adversary:
            norms["discriminator_gradient_norm"] = self._clip(self.adversary.discriminator)
        return norms
