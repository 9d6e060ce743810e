"""Training of the tokenizer, resumable bit for bit.

Every random draw is a pure function of the seed and the step, so the state of a run is its
weights, their averages, the optimizer's moments and the step: no generator has to be saved.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adatok_core.budgets import sample_budgets
from adatok_core.config import TokenizerConfig, TrainingConfig
from adatok_core.tokenizer import ElasticTokenizer, to_float

CALIBRATION_IMAGES = 256

LoadImages = Callable[[Tensor], Tensor]


class DivergedError(RuntimeError):
    """The loss is not finite; the message names the step."""


@dataclass(frozen=True)
class TrainingState:
    """All of a run: `tensors` by name, finished `step`, and the logged `history` rows."""

    tensors: dict[str, Tensor]
    step: int
    history: list[dict[str, float]]


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of all draws of one training step."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def batch_indices(step: int, *, count: int, batch: int, seed: int) -> Tensor:
    """Images `[batch]` of a step: consecutive slices of one permutation per epoch."""
    first = step * batch
    parts = []
    for epoch in range(first // count, (first + batch - 1) // count + 1):
        # Odd numbers apart from the steps' seeds, which are used with the same multiplier.
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 2 + 2**40 + 1)
        order = torch.randperm(count, generator=generator)
        parts.append(order[max(first - epoch * count, 0) : first + batch - epoch * count])
    return torch.cat(parts)


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a cosine to a tenth of the peak at the last step."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - 1 - config.warmup_steps)
    return config.learning_rate * (0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)


class TokenizerTrainer:
    """Trains an elastic tokenizer on `count` images that `load(indices [b])` returns as uint8."""

    def __init__(
        self,
        tokenizer: TokenizerConfig,
        training: TrainingConfig,
        *,
        image_size: int,
        count: int,
        load: LoadImages,
        device: str = "cpu",
    ):
        self.config, self.count, self.load, self.device = training, count, load, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.model = ElasticTokenizer(tokenizer, image_size=image_size).to(device)
        first = batch_indices(0, count=count, batch=CALIBRATION_IMAGES, seed=training.seed)
        self.model.calibrate(to_float(load(first).to(device)))
        self.ema = copy.deepcopy(self.model).requires_grad_(False)
        matrices = [p for p in self.model.parameters() if p.ndim >= 2]
        vectors = [p for p in self.model.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": training.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            betas=(0.9, 0.99),
            fused=True,
        )
        self.step = 0
        self.history: list[dict[str, float]] = []

    def run(self) -> Iterator[int]:
        """Train to the end, yielding the number of finished steps after each one.

        Raises `DivergedError` when the loss or its gradient is no longer finite.
        """
        while self.step < self.config.steps:
            self._train_step()
            yield self.step

    def _train_step(self) -> None:
        config, step = self.config, self.step
        generator = step_generator(config.seed, step)
        indices = batch_indices(step, count=self.count, batch=config.batch, seed=config.seed)
        kept = sample_budgets(
            self.model.config.budgets,
            config.batch,
            full_budget_share=config.full_budget_share,
            generator=generator,
        )
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        losses = {"pixel_loss": 0.0, "quantizer_loss": 0.0}
        for part, part_kept in zip(
            indices.chunk(config.accumulate), kept.chunk(config.accumulate), strict=True
        ):
            pixel, quantizer = self._losses(part, part_kept, generator)
            ((pixel + quantizer) / config.accumulate).backward()
            losses["pixel_loss"] += pixel.item() / config.accumulate
            losses["quantizer_loss"] += quantizer.item() / config.accumulate
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.gradient_clip).item()
        if not math.isfinite(sum(losses.values()) + norm):
            raise DivergedError(f"loss or gradient is not finite at step {step + 1}: {losses}")
        rate = learning_rate(step, config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self._update_ema()
        self.step += 1
        if self.step % config.log_every == 0 or self.step == config.steps:
            self.history.append(
                {"step": self.step, **losses, "gradient_norm": norm, "learning_rate": rate}
            )

    def _losses(
        self, indices: Tensor, kept: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        images = to_float(self.load(indices).to(self.device))
        bf16 = self.config.precision == "bf16"
        with torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16, enabled=bf16):
            output, quantized = self.model(images, kept.to(self.device), generator)
        error = output.float() - images
        pixel = error.square().mean() if self.config.pixel_loss == "l2" else error.abs().mean()
        return pixel, quantized.loss

    @torch.no_grad()
    def _update_ema(self) -> None:
        # The average starts short, so that it forgets the initial weights.
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.model.parameters()), 1 - decay)
        for average, buffer in zip(self.ema.buffers(), self.model.buffers(), strict=True):
            average.copy_(buffer)

    def state(self) -> TrainingState:
        """A copy, on the CPU, of all `load_state` needs to go on as if nothing had happened."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in moments.items()}
        copies = {k: v.to("cpu", copy=True) for k, v in tensors.items()}
        return TrainingState(copies, self.step, list(self.history))

    def load_state(self, state: TrainingState) -> None:
        """Go on from `state`; raises `RuntimeError` when it belongs to another shape of model."""
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}, "optimizer": {}}
        for name, tensor in state.tensors.items():
            part, key = name.split(".", 1)
            parts[part][key] = tensor
        self.model.load_state_dict(parts["model"])
        self.ema.load_state_dict(parts["ema"])
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = {}
        for name, tensor in parts["optimizer"].items():
            index, key = name.split(".", 1)
            # The optimizer would update the tensors it is given in place.
            optimizer["state"].setdefault(int(index), {})[key] = tensor.clone()
        self.optimizer.load_state_dict(optimizer)
        self.step, self.history = state.step, list(state.history)
