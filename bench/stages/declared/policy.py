"""The policy stage: its training, on a bank."""

from __future__ import annotations

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


STAGE = Stage(name="policy", version=2, run="bench.stages.policy:run", work=work)
