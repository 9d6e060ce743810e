"""The generator stage: learns the token ids of a bank, goes on from the last checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from adatok_core.config import GeneratorConfig, GeneratorTraining
from adatok_core.generator.model import Generator
from adatok_core.generator.sequences import Vocabulary
from adatok_core.generator.training import GeneratorTrainer
from adatok_core.tokenizer import parameter_count
from bench.bank import Bank
from bench.checkpoints import load_state, load_tensors, save_state, save_tensors
from bench.errors import UserError
from bench.memory import keep_freed_memory
from bench.settings import parse
from bench.stage import StageContext
from bench.token_sets import Lengths, TokenSet, read_token_set, vocabulary_of

WEIGHTS = "generator.safetensors"
CHECKPOINT = "checkpoint.safetensors"
WATCHED = 256  # Validation images whose loss stands in the history.


def run(context: StageContext) -> dict[str, Any]:
    """Train to the last step; the artifact holds the averaged weights and the vocabulary.

    Lengths are a fixed budget, or those of the policy among the inputs. The held-out images are the
    validation images; none of them is learned from.

    Raises:
        DivergedError: the loss is not finite; names the step.
        UserError: a batch takes more images than there are; a bank without ids, or of another
            tokenizer.
    """
    keep_freed_memory()
    config, inputs = context.spec.config, context.inputs
    generator = parse(GeneratorConfig, config["generator"], where="generation.generator")
    training = parse(GeneratorTraining, config["training"], where="generation.training")
    lengths = Lengths(config["budget"], inputs["tokenizer"], inputs.get("policy"))
    learned, held_out = (
        read_token_set(
            Bank.read(inputs[name]),
            lengths,
            classes=config["classes"],
            images=inputs.get(f"{name}_images"),
        )
        for name in ("training", "held_out")
    )
    if training.batch > len(learned.ids):
        raise UserError(
            f"generation.training.batch: {training.batch} exceeds the bank's {len(learned.ids)} "
            "training images; lower it, or raise bank.policy_images"
        )
    classes = int(learned.labels.max()) + 1
    held_out = held_out.rows(np.flatnonzero(held_out.labels < classes))
    vocabulary = vocabulary_of(lengths, kind=generator.lengths, classes=classes)
    ids, kept, labels = _tensors(learned)
    trainer = GeneratorTrainer(
        generator,
        training,
        vocabulary=vocabulary,
        ids=ids,
        lengths=kept,
        labels=labels,
        device=context.spec.resources.device,
    )
    checkpoint = context.work / CHECKPOINT
    if checkpoint.exists():
        trainer.load_state(load_state(checkpoint))
    watched = _tensors(held_out.rows(np.arange(min(WATCHED, len(held_out.ids)))))
    for step in trainer.run():
        if trainer.history and trainer.history[-1]["step"] == step:
            row = trainer.history[-1]
            row["held_out_nats_per_token"] = trainer.evaluate(*watched).nats_per_token
            context.progress(step, training.steps, f"steps, loss {row['loss']:.3f}")
        if step % training.checkpoint_every == 0 and step < training.steps:
            save_state(checkpoint, trainer.state())
    found = asdict(trainer.evaluate(*_tensors(held_out)))
    save_tensors(
        context.work / WEIGHTS,
        trainer.ema.state_dict(),
        about={
            "generator": config["generator"],
            "codes": vocabulary.codes,
            "budgets": list(vocabulary.budgets),
            "classes": classes,
            "known_classes": np.unique(learned.labels).tolist(),
            "class_kind": config["classes"],
            "held_out": found,
        },
    )
    checkpoint.unlink(missing_ok=True)
    return {
        "history": trainer.history,
        "parameters": parameter_count(trainer.model),
        "sequences_seen": training.steps * training.batch,
        "held_out": found,
    }


def _tensors(images: TokenSet) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(torch.from_numpy(np.array(x)) for x in (images.ids, images.lengths, images.labels))


@dataclass(frozen=True, eq=False)
class TrainedGenerator:
    """A trained generator and what it was trained on.

    `known_classes` are those of its training images, out of all `vocabulary.classes`; `held_out`
    says how well it predicts the validation images.
    """

    generator: Generator
    vocabulary: Vocabulary
    class_kind: Literal["label", "objects"]
    known_classes: tuple[int, ...]
    held_out: dict[str, float]

    @property
    def conditional(self) -> bool:
        """Whether it is told a class."""
        return self.generator.config.class_conditional

    @property
    def budget(self) -> int | None:
        """The one length of its images; None where they differ."""
        return self.vocabulary.budgets[0] if self.vocabulary.lengths == "fixed" else None


def load_generator(artifact: Path, *, device: str = "cpu") -> TrainedGenerator:
    """The generator of an artifact, for sampling."""
    tensors, about = load_tensors(artifact / WEIGHTS)
    config = parse(GeneratorConfig, about["generator"], where=str(artifact))
    vocabulary = Vocabulary(
        codes=about["codes"],
        budgets=tuple(about["budgets"]),
        lengths=config.lengths,
        classes=about["classes"],
    )
    generator = build_generator(config, vocabulary)
    generator.load_state_dict(tensors)
    return TrainedGenerator(
        generator.to(device).eval(),
        vocabulary,
        about["class_kind"],
        tuple(about["known_classes"]),
        about["held_out"],
    )


def build_generator(config: GeneratorConfig, vocabulary: Vocabulary, *, seed: int = 0) -> Generator:
    """An untrained generator; its weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Generator(
            config,
            vocabulary_size=vocabulary.size,
            classes=vocabulary.classes,
            max_steps=vocabulary.max_steps,
        )
