"""Configurations of how a tokenizer and a generator are trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from adatok_core.config.checks import Strict, later, require
from adatok_core.config.lengths import LengthSampling
from adatok_core.config.tokenizer import LoRA


@dataclass(frozen=True, kw_only=True)
class Adversarial(Strict):
    """Hinge loss against a PatchGAN discriminator (Isola et al. 2017) from `start_step` on.

    `weight` is relative to the pixel loss; the discriminator trains from `start_step` on as well.
    `lecam` is the weight of its LeCam regularization, relative to its hinge loss (published
    tokenizers have 0.001).
    """

    weight: float = 0.1
    start_step: int = 0
    width: int = 32
    learning_rate: float = 1e-3
    lecam: float = later(0.0)

    def __post_init__(self) -> None:
        require(self.weight > 0, "weight: must be positive; leave adversarial out for none")
        require(self.start_step >= 0, "start_step: must not be negative")
        require(self.width >= 1, "width: must be 1 or more")
        require(self.learning_rate > 0, "learning_rate: must be positive")
        require(self.lecam >= 0, "lecam: must not be negative")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Strict):
    """How a tokenizer is trained: AdamW, linear warm-up, cosine decay to a tenth, EMA.

    `batch` is the number of images of one step, made of `accumulate` equal micro-batches. The loss
    is the pixel loss, plus `perceptual` times the distance by `perceptual_network`, plus the
    quantizer's loss, plus the adversarial loss. `compile` has the transformers' blocks compiled by
    `torch.compile`.
    """

    steps: int = 2000
    batch: int = 64
    accumulate: int = 1
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    ema_decay: float = 0.99
    lengths: LengthSampling = field(default_factory=LengthSampling)
    pixel_loss: Literal["l1", "l2"] = "l2"
    perceptual: float = 0.0
    adversarial: Adversarial | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    log_every: int = 50
    checkpoint_every: int = 250
    seed: int = 0
    compile: bool = later(False)
    perceptual_network: str = later("lite0")

    def __post_init__(self) -> None:
        _require_schedule(self)
        require(self.accumulate >= 1, "accumulate: must be 1 or more")
        require(
            self.batch % self.accumulate == 0,
            f"accumulate: {self.accumulate} must divide the batch {self.batch}",
        )
        share = self.lengths.full_share
        require(
            share == 1 or max(1, round(share * self.batch)) < self.batch or share == 0,
            f"lengths.full_share: {share} of a batch of {self.batch} leaves no image to draw for",
        )
        require(self.perceptual >= 0, "perceptual: must not be negative")
        require(
            self.adversarial is None or self.adversarial.start_step < self.steps,
            "adversarial.start_step: lies behind the last step",
        )


@dataclass(frozen=True, kw_only=True)
class GeneratorTraining(Strict):
    """How a generator is trained: AdamW, linear warm-up, cosine decay to a tenth, EMA.

    `batch` counts the sequences of one step; `weight_decay` applies to the matrices of linear
    layers alone; `compile` has the blocks compiled by `torch.compile`.
    """

    steps: int = 2000
    batch: int = 64
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.05
    gradient_clip: float = 1.0
    ema_decay: float = 0.99
    precision: Literal["fp32", "bf16"] = "fp32"
    log_every: int = 50
    checkpoint_every: int = 500
    seed: int = 0
    compile: bool = later(False)

    def __post_init__(self) -> None:
        _require_schedule(self)


def _require_schedule(config: TrainingConfig | GeneratorTraining) -> None:
    for key in ("steps", "batch", "log_every", "checkpoint_every"):
        require(getattr(config, key) >= 1, f"{key}: must be 1 or more")
    require(config.learning_rate > 0, "learning_rate: must be positive")
    require(config.warmup_steps >= 0, "warmup_steps: must not be negative")
    require(
        config.warmup_steps < config.steps,
        f"warmup_steps: {config.warmup_steps} leaves nothing of the {config.steps} steps",
    )
    require(config.weight_decay >= 0, "weight_decay: must not be negative")
    require(config.gradient_clip > 0, "gradient_clip: must be positive")
    require(0 <= config.ema_decay < 1, "ema_decay: must lie in [0, 1)")
    require(config.seed >= 0, "seed: must not be negative")


@dataclass(frozen=True, kw_only=True)
class FineTuning(Strict):
    """A second training that starts from a trained tokenizer, encoder and quantizer frozen.

    `trainable`: the whole `decoder`, or only the `heads` (LoRA adapters) on a frozen decoder.
    `lora` adds adapters to a tokenizer that has none; None keeps its own.
    """

    trainable: Literal["decoder", "heads"] = "decoder"
    lora: LoRA | None = None
    training: TrainingConfig = field(default_factory=TrainingConfig)
