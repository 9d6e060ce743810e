"""The generator stage: its training, on the token ids of a bank."""

from __future__ import annotations

from bench.stages import Stage
from bench.stages.work import Job, Work, sequence


def work(job: Job) -> Work:
    """Sequences of the training times the network."""
    config, training = job.config, job.config["training"]
    kind = [config["generator"]["lengths"], training["precision"], "policy" in job.inputs]
    amount = training["steps"] * training["batch"] * sequence(job)
    return Work(kind, amount, "steps x batch x network")


STAGE = Stage(
    name="generator",
    version=1,
    device=True,
    ranks=True,
    run="bench.stages.generator:run",
    work=work,
)
