"""The generator stage: learns the token ids of a bank, goes on from the last checkpoint."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adatok_core.config import GeneratorConfig, GeneratorTraining
from adatok_core.generator.training import GeneratorTrainer
from adatok_core.tokenizer import parameter_count
from bench.artifacts.networks import GENERATOR_WEIGHTS
from bench.config.settings import parse
from bench.errors import UserError
from bench.memory import keep_freed_memory
from bench.stages.token_sets import Lengths, TokenSet, read_token_sets, vocabulary_of
from bench.stages.training.arithmetic import products
from bench.stages.training.checkpointing import steps_of
from bench.stages.training.launch import on_ranks
from bench.store.checkpoints import remove_states, save_tensors
from bench.store.stage import StageContext

WATCHED = 256  # Validation images whose loss stands in the history.


def run(context: StageContext) -> dict[str, Any]:
    """Train to the last step; the artifact holds the averaged weights and the vocabulary.

    Lengths are a fixed budget, or those of the policy among the inputs. The held-out images are the
    validation images; none of them is learned from.

    Raises:
        DivergedError: the loss is not finite; names the step.
        UserError: a batch takes more images than there are, or cannot be shared out to the ranks; a
            bank without ids, or of another tokenizer.
        RankError: one of several ranks has died.
    """
    where = "generation.training"
    training = parse(GeneratorTraining, context.spec.config["training"], where=where)
    return on_ranks(context, _train, where=where, batch=training.batch)


def _train(context: StageContext) -> dict[str, Any]:
    with products(context.spec.resources.device) as kind:
        return {**_trained(context), **({} if kind == "fp32" else {"matrix_products": kind})}


def _trained(context: StageContext) -> dict[str, Any]:
    keep_freed_memory()
    config, inputs = context.spec.config, context.inputs
    generator = parse(GeneratorConfig, config["generator"], where="generation.generator")
    training = parse(GeneratorTraining, config["training"], where="generation.training")
    lengths = Lengths.asked(config["budget"], inputs["tokenizer"], inputs.get("policy"))
    learned, held_out = read_token_sets(
        inputs, ("training", "held_out"), lengths, classes=config["classes"]
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
    watched = _tensors(held_out.rows(np.arange(min(WATCHED, len(held_out.ids)))))
    leads = trainer.ranks.rank == 0

    def is_logged(step: int) -> bool:
        return leads and bool(trainer.history) and trainer.history[-1]["step"] == step

    def watch(step: int) -> None:
        if is_logged(step):
            nats = trainer.evaluate(*watched).nats_per_token
            trainer.history[-1]["held_out_nats_per_token"] = nats

    for step in steps_of(context, trainer, complete=watch):
        if is_logged(step):
            row = trainer.history[-1]
            context.curve(trainer.history)
            context.progress(step, training.steps, f"steps, loss {row['loss']:.3f}")
    if not leads:
        return {}
    found = asdict(trainer.evaluate(*_tensors(held_out)))
    save_tensors(
        context.work / GENERATOR_WEIGHTS,
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
    remove_states(context.work)
    return {
        "history": trainer.history,
        "parameters": parameter_count(trainer.model),
        "sequences_seen": training.steps * training.batch,
        "held_out": found,
    }


def _tensors(images: TokenSet) -> tuple[Tensor, Tensor, Tensor]:
    # Torch computes little with 16 bits without a sign, which a bank may keep.
    ids = np.array(images.ids, np.promote_types(images.ids.dtype, np.int16))
    lengths, labels = (np.array(x) for x in (images.lengths, images.labels))
    return torch.from_numpy(ids), torch.from_numpy(lengths), torch.from_numpy(labels)
