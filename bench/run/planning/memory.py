"""Memory that a training takes on a GPU, from one step on tensors that have shapes alone.

It is the larger of two moments: the backward pass, beside weights, averages and AdamW's moments;
and the update of the averages, beside the gradients. What a GPU needs besides (CUDA's context,
workspaces, gaps between blocks) is left free: see `USABLE`. Compiled blocks keep less.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bench.config.settings import parse
from bench.errors import UserError
from bench.run.planning.apart import apart
from bench.run.planning.flops import CLASSES
from bench.run.planning.step import step_of_shapes
from bench.stages.work import Job

# Of a GPU's memory, what a training's tensors may take: a process took 1.3 times as much (CPU).
USABLE = 0.75
GB = 1e9


@dataclass(frozen=True)
class Training:
    """A training of a job: the setting of its batch, and how that is shared out."""

    job: Job
    key: str
    batch: int
    accumulate: int
    ranks: int

    @staticmethod
    def of(job: Job) -> Training | None:
        """That of a tokenizer or a generator; None for another stage."""
        if job.stage not in ("tokenizer", "generator"):
            return None
        key = "training" if job.stage == "tokenizer" else "generation.training"
        if "trainable" in job.config:
            key = "finetuning.training"
        asked = job.config["training"]
        parts = asked.get("accumulate", 1)
        return Training(job, key, asked["batch"], parts, job.resources.get("ranks") or 1)

    @property
    def images(self) -> int:
        """Images (or sequences) that a GPU looks at in one pass."""
        return max(1, self.batch // (self.accumulate * self.ranks))

    def bytes_at(self, images: int) -> float | None:
        """Bytes of a step of so many images; None of a network that looks at values."""
        measure = _tokenizer if self.job.stage == "tokenizer" else _generator
        return measure(self.job, images, self.accumulate)


def training_bytes(job: Job) -> float | None:
    """Bytes that a job's training takes on each of its GPUs; None where that is not known."""
    training = Training.of(job)
    return None if training is None else training.bytes_at(training.images)


def require_memory(job: Job, *, there: float, gpu: str) -> None:
    """Refuse a training that does not fit into `there` bytes, those of a `gpu`.

    Raises:
        UserError: names the batch that would fit.
    """
    training, room = Training.of(job), there * USABLE
    takes = None if training is None else training.bytes_at(training.images)
    if training is None or takes is None or takes <= room:
        return
    images = training.images
    half = training.bytes_at(max(1, images // 2)) or takes
    each = (takes - half) / max(1, images - images // 2)
    fitting = int((room - (takes - each * images)) // each) if each else 0
    share = training.accumulate * training.ranks
    remedy = f"a {training.key}.batch of {fitting * share} fits"
    if fitting < 1:
        remedy = "not even one image fits; take a smaller network"
    elif training.job.stage == "tokenizer":
        parts = -(-training.batch // (fitting * training.ranks))
        while training.batch % (parts * training.ranks):
            parts += 1
        remedy += f", or {training.key}.accumulate: {parts}"
    raise UserError(
        f"{training.key}.batch: {training.batch} on {training.ranks} "
        f"GPU{'s' * (training.ranks > 1)} takes {takes / GB:.1f} GB of each, and {gpu} has "
        f"{there / GB:.0f} GB, of which a quarter is left free; {remedy}"
    )


def require_memory_here(jobs: Iterable[Job]) -> None:
    """Refuse trainings on a GPU that do not fit into this machine's, if it has one.

    Raises:
        UserError: names the batch that would fit.
    """
    on_gpu = [job for job in jobs if job.resources["device"] == "cuda" and Training.of(job)]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        return  # They run elsewhere.
    there = torch.cuda.get_device_properties(0).total_memory
    for job in on_gpu:
        share = min(job.resources["gpus"], 1.0)
        of = "this GPU" if share == 1 else f"{share:g} of this GPU"
        require_memory(job, there=there * share, gpu=of)


def _tokenizer(job: Job, images: int, accumulate: int) -> float | None:
    from adatok_core.config import LengthSampling, TokenizerConfig, TrainingConfig
    from bench.metrics.perceptual_loss import LossNetwork

    shape = job.config["tokenizer"]
    tokenizer = parse(TokenizerConfig, shape, where="tokenizer")
    asked = parse(TrainingConfig, job.config["training"], where="training")
    if tokenizer.tail == "dropped":  # The longest prefix of a batch is looked up; all of it here.
        tokenizer = replace(tokenizer, tail="hidden")
    alike = TrainingConfig(
        steps=1,
        warmup_steps=0,
        lengths=LengthSampling(
            decodes=asked.lengths.decodes,
            drawn=asked.lengths.drawn,
            distillation=asked.lengths.distillation,
            self_alignment=asked.lengths.self_alignment,
        ),
        pixel_loss=asked.pixel_loss,
        perceptual=asked.perceptual,
        adversarial=asked.adversarial and replace(asked.adversarial, start_step=0),
        precision=asked.precision,
    )
    size: int = job.inputs["images"].config["resolution"]
    trainable = job.config.get("trainable", "all")
    found = step_of_shapes(
        tokenizer, alike, size, images, trainable, LossNetwork.of(asked, job.runtime)
    )
    waiting = (accumulate - 1) * images * 3 * size**2
    return None if found is None else found.bytes + waiting


def _generator(job: Job, sequences: int, accumulate: int) -> float | None:
    from adatok_core.config import GeneratorConfig, TokenizerConfig

    shape = job.inputs["tokenizer"].config["tokenizer"]
    if "encoding" not in shape:
        return None
    generator = parse(GeneratorConfig, job.config["generator"], where="generation.generator")
    budget = job.config["budget"]
    tokens: int = budget if isinstance(budget, int) else shape["budgets"][-1]
    codes = parse(TokenizerConfig, shape, where="tokenizer").quantizer.codebook_size
    bf16 = job.config["training"]["precision"] == "bf16"
    return _apart(generator, codes, tokens, sequences, bf16)


@functools.cache
def _apart(*given: Any) -> float | None:
    return apart(_of_sequences, *given)


def _of_sequences(generator: Any, codes: int, tokens: int, sequences: int, bf16: bool) -> float:
    """A step on whole sequences, all of whose tokens are predicted."""
    import torch
    from torch.nn import functional as F

    from adatok_core.generator.likelihood import next_token_logits
    from adatok_core.generator.model import Generator
    from adatok_core.generator.sequences import Vocabulary
    from bench.run.planning.shapes import Saved, shapes_alone, training_step_bytes

    vocabulary = Vocabulary(
        codes=codes, budgets=(tokens,), lengths=generator.lengths, classes=CLASSES
    )
    with shapes_alone():
        model = Generator(
            generator,
            vocabulary_size=vocabulary.size,
            classes=vocabulary.classes,
            max_steps=vocabulary.max_steps,
        )
        classes = torch.zeros(sequences, dtype=torch.long) if model.classes else None
        entries = torch.zeros(sequences, vocabulary.max_steps, dtype=torch.long)
        saved = Saved(besides=model.parameters())
        with saved:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = next_token_logits(model, vocabulary, classes, entries)
            F.cross_entropy(logits.flatten(0, 1).clone(), entries.flatten())
        return training_step_bytes([model], saved.bytes)
