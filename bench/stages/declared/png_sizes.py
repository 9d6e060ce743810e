"""The stage of PNG sizes: bytes that each image of a split takes."""

from __future__ import annotations

from bench.stages import Stage
from bench.stages.declared import data
from bench.stages.work import Job, Work


def work(job: Job) -> Work:
    """Pixels of all images."""
    return data.work(job.inputs["images"])._replace(kind=None)


STAGE = Stage(name="png_sizes", version=1, run="bench.stages.png_sizes:run", work=work)
