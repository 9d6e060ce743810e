"""The policy stage: its training, on a bank."""

from __future__ import annotations

from typing import Any

from bench.stages import Stage
from bench.stages.work import Job, Work


def work(job: Job) -> Work:
    """Tokens that the training looks at."""
    config, bank = job.config, job.inputs["bank"]
    shape = bank.inputs["tokenizer"].config["tokenizer"]
    kind = [config["objective"]["kind"], config["input"]]
    if "width" not in shape:
        kind.append(shape)
    tokens = shape["budgets"][-1] * shape.get("width", 1)
    return Work(kind, config["steps"] * config["batch"] * tokens, "steps x batch x tokens")


def images_problem(config: dict[str, Any], count: int) -> str | None:
    """A batch of more than the images of the bank."""
    batch: int = config["batch"]
    if batch <= count:
        return None
    return (
        f"policy.batch: {batch} exceeds the {count} images of the policy's bank; lower it, or "
        "raise bank.policy_images"
    )


STAGE = Stage(
    name="policy",
    version=2,
    run="bench.stages.policy:run",
    work=work,
    images_problem=images_problem,
)
