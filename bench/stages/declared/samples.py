"""The samples stage: images from a generator, and how far they are from real ones."""

from __future__ import annotations

from typing import Any

from bench.config.evaluation import EvaluationConfig
from bench.stages import Stage
from bench.stages.work import Job, Work, sequence


def work(job: Job) -> Work:
    """Images times the generator."""
    config, generator = job.config, job.inputs["generator"]
    kind = [
        generator.config["generator"]["lengths"],
        config["sampling"]["guidance"] > 1,
        *(config[name] for name in ("generative", "extractor_resolution", "second_extractor")),
        config.get("extractors", []),
    ]
    return Work(kind, config["images"] * sequence(generator), "images x network")


def images_problem(config: dict[str, Any], count: int) -> str | None:
    """Measures that need more than the samples, or than the validation images."""
    return EvaluationConfig.of_stage(config).problem_of_samples(config["images"], count)


STAGE = Stage(
    name="samples",
    version=1,
    device=True,
    run="bench.stages.samples:run",
    work=work,
    images_problem=images_problem,
)
