"""The bank stage: images x budgets x metrics of one frozen tokenizer."""

from __future__ import annotations

from typing import Any

from bench.stages import Stage
from bench.stages.work import Job, Work, decode, encode, network


def work(job: Job) -> Work:
    """Images x budgets, times the networks where nothing but they is computed."""
    config, images = job.config, job.inputs["images"]
    shape = job.inputs["tokenizer"].config["tokenizer"]
    kind = [
        config["purpose"],
        network(shape),
        config["extractor_resolution"],
        config.get("second_extractor"),
        config.get("inception") is not None,
        config.get("extractors", []),
        config.get("own_targets") is not None,
    ]
    count = config.get("images") or images.count
    if count is None:
        return Work(kind, None, "")
    budgets = len(config["budgets"] or shape["budgets"])
    amount = count * (budgets + 1) * (encode(shape, images) + decode(shape, images))
    if config["extractor_resolution"]:  # The metric networks take most of the time.
        amount = count * (budgets + 1)
    return Work(kind, amount, "images x budgets")


def images_problem(config: dict[str, Any], count: int) -> str | None:
    """A policy's bank of more than the training images."""
    images: int | None = config.get("images")
    if images is None or images <= count:
        return None
    return (
        f"bank.policy_images: {images} exceeds the {count} training images; ask for fewer, or "
        "null for all"
    )


STAGE = Stage(
    name="bank",
    version=3,
    device=True,
    ranks=True,
    run="bench.stages.bank:run",
    work=work,
    images_problem=images_problem,
)
