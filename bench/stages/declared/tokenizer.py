"""The tokenizer stage: its training, or another one of a trained tokenizer."""

from __future__ import annotations

from typing import Any

from adatok_core.config import LengthSampling
from adatok_core.config.encoder import ENCODERS
from bench.config.settings import parse
from bench.stages import Stage
from bench.stages.work import Job, Work, decode, encode


def work(job: Job) -> Work:
    """Images of the training times both networks."""
    training, shape = job.config["training"], job.config["tokenizer"]
    kind = [
        shape["encoding"],
        shape["decoders"],
        training["precision"],
        training["perceptual"] > 0,
        training["adversarial"] is not None,
        job.config.get("trainable"),
    ]
    images, lengths = job.inputs["images"], training["lengths"]
    decodings = parse(LengthSampling, lengths, where="training.lengths").decodings
    encodings = 1 if decodings == 1 or ENCODERS[shape["encoding"]].nested else decodings
    passes = encodings * encode(shape, images) + decodings * decode(shape, images)
    return Work(kind, training["steps"] * training["batch"] * passes, "steps x batch x network")


def images_problem(config: dict[str, Any], count: int) -> str | None:
    """A batch of more than the training images."""
    batch: int = config["training"]["batch"]
    if batch <= count:
        return None
    return f"training.batch: {batch} exceeds the {count} training images; lower it or add images"


STAGE = Stage(
    name="tokenizer",
    version=2,
    device=True,
    ranks=True,
    run="bench.stages.tokenizer:run",
    work=work,
    images_problem=images_problem,
)
