"""Training of the generator on the token ids of images, resumable bit for bit.

Every random draw is a pure function of the seed and the step: no generator of numbers is saved.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adatok_core.averages import update_average
from adatok_core.batches import batch_indices, step_generator
from adatok_core.config import GeneratorConfig, GeneratorTraining
from adatok_core.generator.likelihood import (
    Likelihood,
    class_labels,
    likelihood,
    next_token_logits,
)
from adatok_core.generator.model import Generator
from adatok_core.generator.sequences import Vocabulary
from adatok_core.parameters import decay_groups
from adatok_core.schedule import learning_rate
from adatok_core.training_state import DivergedError, TrainingState, pack, unpack


class GeneratorTrainer:
    """Trains a generator on the first `lengths [n]` of the `ids [n, N']` of `n` images.

    The loss is the mean cross-entropy of all tokens of a batch, those that tell the lengths
    included. `labels [n]` are needed with classes and ignored without. `ema` is the averaged
    generator, the one to use.

    Raises:
        ValueError: another layout of lengths in the vocabulary than in `config`, or images and
            labels that are none of the vocabulary's.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        training: GeneratorTraining,
        *,
        vocabulary: Vocabulary,
        ids: Tensor,
        lengths: Tensor,
        labels: Tensor | None = None,
        device: str = "cpu",
    ):
        if vocabulary.lengths != config.lengths:
            raise ValueError(
                f"lengths: {config.lengths}, but the vocabulary's {vocabulary.lengths}"
            )
        if len(ids) != len(lengths):
            raise ValueError(f"lengths: {len(lengths)} of them for {len(ids)} images")
        vocabulary.require_images(ids, lengths)
        self.config, self.vocabulary, self.device = training, vocabulary, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            self.model = Generator(
                config,
                vocabulary_size=vocabulary.size,
                classes=vocabulary.classes,
                max_steps=vocabulary.max_steps,
            ).to(device)
        self.ids, self.lengths = ids, lengths
        self.labels = class_labels(self.model, labels, count=len(ids))
        self.ema = copy.deepcopy(self.model).requires_grad_(False)
        groups = decay_groups(self.model, weight_decay=training.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)
        self.step = 0
        self.history: list[dict[str, float]] = []

    def run(self) -> Iterator[int]:
        """Train to the end, yielding the number of finished steps after each one.

        Raises `DivergedError` when the loss or the gradient is no longer finite.
        """
        while self.step < self.config.steps:
            self._train_step()
            yield self.step

    def _train_step(self) -> None:
        config, step = self.config, self.step
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.gradient_clip)
        row = {
            "step": step + 1,
            "loss": loss.item(),
            "gradient_norm": norm.item(),
            "learning_rate": learning_rate(step, config),
        }
        if not all(map(math.isfinite, row.values())):
            raise DivergedError(f"loss or gradient is not finite at step {step + 1}: {row}")
        for group in self.optimizer.param_groups:
            group["lr"] = row["learning_rate"]
        self.optimizer.step()
        update_average(self.ema, self.model, decay=config.ema_decay, step=step)
        self.step += 1
        if self.step % config.log_every == 0 or self.step == config.steps:
            self.history.append(row)

    def _loss(self) -> Tensor:
        """The mean cross-entropy of the batch's tokens, in nats."""
        config, count = self.config, len(self.ids)
        images = batch_indices(
            self.step, count=count, batch=min(config.batch, count), seed=config.seed
        )
        tokens, predicted = self.vocabulary.sequences(self.ids[images], self.lengths[images])
        tokens, predicted = tokens.to(self.device), predicted.to(self.device)
        kind, bf16 = torch.device(self.device).type, config.precision == "bf16"
        with torch.autocast(kind, torch.bfloat16, enabled=bf16):
            logits = next_token_logits(self.model, self.vocabulary, self._classes(images), tokens)
        return F.cross_entropy(logits[predicted], tokens[predicted])

    def _classes(self, images: Tensor) -> Tensor | None:
        """The classes of the batch, some replaced by the null class."""
        if self.labels is None:
            return None
        generator = step_generator(self.config.seed, self.step)
        dropped = torch.rand(len(images), generator=generator) < self.model.config.class_dropout
        return self.labels[images].masked_fill(dropped, self.vocabulary.classes).to(self.device)

    def evaluate(self, ids: Tensor, lengths: Tensor, labels: Tensor | None = None) -> Likelihood:
        """How well the averaged generator predicts other images, in nats."""
        return likelihood(
            self.ema.eval(),
            self.vocabulary,
            ids=ids,
            lengths=lengths,
            labels=labels,
            batch=self.config.batch,
        )

    def state(self) -> TrainingState:
        """A copy, on the CPU, of all `load_state` needs to go on as if nothing had happened."""
        return TrainingState(pack(self._parts()), self.step, list(self.history))

    def load_state(self, state: TrainingState) -> None:
        """Go on from `state`; raises `RuntimeError` when it belongs to another shape of model."""
        unpack(self._parts(), state.tensors)
        self.step, self.history = state.step, list(state.history)

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {"model": self.model, "ema": self.ema, "optimizer": self.optimizer}
