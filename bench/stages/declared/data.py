"""The data stage: one split of an image set."""

from __future__ import annotations

from bench.stages import Stage
from bench.stages.work import Job, Work


def work(job: Job) -> Work:
    """Pixels of all images."""
    amount = None if job.count is None else job.count * job.config["resolution"] ** 2
    return Work(job.config["kind"], amount, "images x pixels")


STAGE = Stage(name="data", version=1, run="bench.stages.data:run", work=work)
