"""The lengths stage: the budget that a policy chooses for every image of a split."""

from __future__ import annotations

from bench.stages import Stage
from bench.stages.work import Job, Work, encode, network


def work(job: Job) -> Work:
    """Images times the encoder."""
    images, shape = job.inputs["images"], job.inputs["tokenizer"].config["tokenizer"]
    kind = [network(shape), job.inputs["policy"].config["input"]]
    amount = None if images.count is None else images.count * encode(shape, images)
    return Work(kind, amount, "images x encoder")


STAGE = Stage(name="lengths", version=1, device=True, run="bench.stages.lengths:run", work=work)
