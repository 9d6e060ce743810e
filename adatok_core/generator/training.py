"""Training of the generator on the token ids of images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from adatok_core.batches import batch_indices, step_generator
from adatok_core.compiled import compile_blocks
from adatok_core.config import GeneratorConfig, GeneratorTraining
from adatok_core.config.checks import require_shares
from adatok_core.generator.likelihood import (
    Likelihood,
    class_labels,
    likelihood,
    next_token_logits,
)
from adatok_core.generator.model import Generator
from adatok_core.generator.sequences import Vocabulary
from adatok_core.ranks import Ranks, sum_over_ranks
from adatok_core.trainer import AveragedTrainer


class GeneratorTrainer(AveragedTrainer[Generator, GeneratorTraining]):
    """Trains a generator on the first `lengths [n]` of the `ids [n, N']` of `n` images.

    The loss is the mean cross-entropy of all tokens of a batch, those that tell the lengths
    included. `labels [n]` are needed with classes and ignored without. `ema` is the averaged
    generator, the one to use.

    Raises:
        ValueError: another layout of lengths in the vocabulary than in `config`, images and labels
            that are none of the vocabulary's, or a batch that cannot be shared out to the ranks.
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
        require_shares(min(training.batch, len(ids)), ranks=Ranks.here().count)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            model = Generator(
                config,
                vocabulary_size=vocabulary.size,
                classes=vocabulary.classes,
                max_steps=vocabulary.max_steps,
            ).to(device)
        super().__init__(training, model=model, betas=(0.9, 0.95), device=device)
        if training.compile:
            compile_blocks(model.blocks)
        self.vocabulary, self.ids, self.lengths = vocabulary, ids, lengths
        self.labels = class_labels(model, labels, count=len(ids))

    def _draw(self) -> dict[str, Tensor]:
        """Tokens `[B, S]`, which of them are predicted, and with classes those of the images."""
        config, count = self.config, len(self.ids)
        batch = min(config.batch, count)
        images = batch_indices(self.step, count=count, batch=batch, seed=config.seed)
        classes = self._classes(images)
        if self.ranks.count > 1:
            mine = self.ranks.places(batch)
            images, classes = images[mine], None if classes is None else classes[mine]
        tokens, predicted = self.vocabulary.sequences(self.ids[images], self.lengths[images])
        drawn = {"tokens": tokens, "predicted": predicted}
        drawn |= {} if classes is None else {"classes": classes}
        return {name: value.to(self.device) for name, value in drawn.items()}

    def _backward(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean cross-entropy of the batch's tokens, in nats."""
        tokens, predicted = drawn["tokens"], drawn["predicted"]
        with self._autocast():
            logits = next_token_logits(self.model, self.vocabulary, drawn.get("classes"), tokens)
        loss = F.cross_entropy(logits[predicted], tokens[predicted])
        if self.ranks.count > 1:
            # The mean is one of tokens, of which a rank may have more than another.
            share = predicted.sum() / sum_over_ranks(predicted.sum())
            loss = loss * share * self.ranks.count
        loss.backward()
        return {"loss": loss.detach()}

    def _classes(self, images: Tensor) -> Tensor | None:
        """The classes of the batch, some replaced by the null class."""
        if self.labels is None:
            return None
        generator = step_generator(self.config.seed, self.step)
        dropped = torch.rand(len(images), generator=generator) < self.model.config.class_dropout
        return self.labels[images].masked_fill(dropped, self.vocabulary.classes)

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
