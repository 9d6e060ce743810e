"""FLOPs of a stage, counted by torch (`torch.utils.flop_counter`) on the networks it would train.

A tokenizer's step is run on tensors that have shapes alone. Where values decide what is computed,
and for other stages, two small batches are run through networks of full width and one or two
layers: FLOPs are linear in the batch and in every depth, so that the count of the whole follows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.config.settings import parse
from bench.run.planning.step import step_of_shapes
from bench.stages.work import Job

if TYPE_CHECKING:
    from adatok_core.config import TokenizerConfig, TrainingConfig
    from bench.metrics.perceptual_loss import LossNetwork

Measure = Callable[[tuple[int, ...], int], float]


def counted_flops(job: Job) -> float | None:
    """FLOPs of all of a stage; None for a stage, or a tokenizer, that is not counted.

    Tokenizers and generators: every step's forward and backward pass, losses included. Banks:
    encoding and decoding, without the networks of metrics.
    """
    count = COUNTED.get(job.stage)
    return None if count is None else count(job)


def _tokenizer(job: Job) -> float | None:
    from adatok_core.config import LengthSampling, TokenizerConfig, TrainingConfig
    from bench.metrics.perceptual_loss import LossNetwork

    tokenizer = parse(TokenizerConfig, job.config["tokenizer"], where="tokenizer")
    asked = parse(TrainingConfig, job.config["training"], where="training")
    drawn = LengthSampling(full_share=1)
    if asked.lengths.decodes != "one":  # Whatever decides the lengths, so many are decoded.
        drawn = replace(
            asked.lengths, distribution="all", share=0.8, rest="candidates", weights="uniform"
        )
    alike = TrainingConfig(
        steps=1,
        warmup_steps=0,
        batch=asked.batch,
        lengths=drawn,
        pixel_loss=asked.pixel_loss,
        perceptual=asked.perceptual,
        adversarial=asked.adversarial and replace(asked.adversarial, start_step=0),
    )
    size: int = job.inputs["images"].config["resolution"]
    network = LossNetwork.of(asked, job.runtime)
    found = step_of_shapes(tokenizer, alike, size, asked.batch, network=network)
    of_step = _of_step(tokenizer, alike, size, network) if found is None else found.flops
    return of_step * asked.steps


@functools.cache  # Seeds, steps and rates change nothing.
def _of_step(
    tokenizer: TokenizerConfig, training: TrainingConfig, size: int, network: LossNetwork | None
) -> float:
    from adatok_core.training import TokenizerTrainer

    def measure(depths: tuple[int, ...], batch: int) -> float:
        trainer = TokenizerTrainer(
            replace(tokenizer, encoder_depth=depths[0], decoder_depth=depths[1]),
            replace(training, batch=batch),
            image_size=size,
            count=2,
            load=_images(size),
            perceptual_loss=network.loss(resolution=size) if network else None,
        )
        return _counted(lambda: next(trainer.run()))

    return _whole(measure, (tokenizer.encoder_depth, tokenizer.decoder_depth), training.batch)


def _generator(job: Job) -> float | None:
    import torch

    from adatok_core.config import GeneratorConfig, GeneratorTraining, TokenizerConfig
    from adatok_core.generator.sequences import Vocabulary
    from adatok_core.generator.training import GeneratorTrainer

    shape = job.inputs["tokenizer"].config["tokenizer"]
    if "encoding" not in shape:
        return None
    generator = parse(GeneratorConfig, job.config["generator"], where="generation.generator")
    asked = parse(GeneratorTraining, job.config["training"], where="generation.training")
    budget = job.config["budget"]
    tokens: int = budget if isinstance(budget, int) else shape["budgets"][-1]
    codes = parse(TokenizerConfig, shape, where="tokenizer").quantizer.codebook_size

    def measure(depths: tuple[int, ...], batch: int) -> float:
        trainer = GeneratorTrainer(
            replace(generator, depth=depths[0]),
            replace(asked, batch=batch, precision="fp32", compile=False),
            vocabulary=Vocabulary(
                codes=codes, budgets=(tokens,), lengths=generator.lengths, classes=CLASSES
            ),
            ids=torch.zeros(batch, tokens, dtype=torch.long),
            lengths=torch.full((batch,), tokens),
            labels=torch.zeros(batch, dtype=torch.long),
        )
        return _counted(lambda: next(trainer.run()))

    return _whole(measure, (generator.depth,), asked.batch) * asked.steps


def _bank(job: Job) -> float | None:
    import torch

    from adatok_core.build import build_tokenizer
    from adatok_core.config import TokenizerConfig

    shape, images = job.inputs["tokenizer"].config["tokenizer"], job.inputs["images"]
    count = job.config.get("images") or images.count
    if "encoding" not in shape or count is None:
        return None
    tokenizer = parse(TokenizerConfig, shape, where="tokenizer")
    size: int = images.config["resolution"]
    budgets = job.config["budgets"] or list(tokenizer.budgets)

    def measure(depths: tuple[int, ...], batch: int) -> float:
        small = replace(tokenizer, encoder_depth=depths[0], decoder_depth=depths[1])
        model = build_tokenizer(small, image_size=size).eval()
        pixels = torch.zeros(batch, 3, size, size)

        def run() -> None:
            ids, _ = model.encode(pixels)
            for budget in budgets:
                model.decode(ids, torch.full((batch,), budget))

        with torch.inference_mode():
            return _counted(run)

    return _whole(measure, (tokenizer.encoder_depth, tokenizer.decoder_depth), count)


# As many as ImageNet has: their embeddings are looked up, which is no multiplication.
CLASSES = 1000
COUNTED: dict[str, Callable[[Job], float | None]] = {
    "tokenizer": _tokenizer,
    "generator": _generator,
    "bank": _bank,
}


def _whole(measure: Measure, depths: tuple[int, ...], batch: int) -> float:
    """The count at `depths` and `batch`, from counts at one or two of each."""

    def at(small: int) -> float:
        base = measure((1,) * len(depths), small)
        total = base
        for place, depth in enumerate(depths):
            if depth > 1:
                deeper = tuple(2 if other == place else 1 for other in range(len(depths)))
                total += (measure(deeper, small) - base) * (depth - 1)
        return total

    one = at(1)
    return one if batch == 1 else one + (at(2) - one) * (batch - 1)


def _counted(function: Callable[[], object]) -> float:
    from bench.run.planning.counting import counting

    with counting() as counter:
        function()
    return float(counter.get_total_flops())


def _images(size: int) -> Callable[[Any], Any]:
    import torch

    return lambda indices: torch.zeros(len(indices), 3, size, size, dtype=torch.uint8)


def distinct(jobs: Sequence[Job]) -> list[float | None]:
    """Counts of jobs; those that differ in their seeds only are counted once."""
    known: list[tuple[Job, float | None]] = []
    found = []
    for job in map(_unseeded, jobs):
        flops = next((flops for other, flops in known if other == job), 0.0)
        if flops == 0.0:
            flops = counted_flops(job)
            known.append((job, flops))
        found.append(flops)
    return found


def _unseeded(job: Job) -> Job:
    """The job without the seed of its training."""
    training = job.config.get("training")
    if not isinstance(training, dict):
        return job
    unseeded = {name: value for name, value in training.items() if name != "seed"}
    return replace(job, config={**job.config, "training": unseeded})
