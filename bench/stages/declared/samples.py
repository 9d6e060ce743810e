"""The samples stage: images from a generator, and how far they are from real ones."""

from __future__ import annotations

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


STAGE = Stage(name="samples", version=1, device=True, run="bench.stages.samples:run", work=work)
