"""The stage of perturbed tokens: decodings of ids with noise, against the originals."""

from __future__ import annotations

from typing import Any

from bench.config.evaluation import EvaluationConfig, PerturbedConfig
from bench.config.settings import parse
from bench.stages import Stage
from bench.stages.work import Job, Work, decode, network


def work(job: Job) -> Work:
    """Decodings: images x budgets x settings."""
    asked, bank = job.config["perturbed"], job.inputs["bank"]
    shape = bank.inputs["tokenizer"].config["tokenizer"]
    kind = [
        network(shape),
        job.config["extractor_resolution"],
        bank.config["second_extractor"],
        bank.config["inception"] is not None,
        bank.config.get("extractors", []),
    ]
    count = asked["images"] or bank.inputs["images"].count
    if count is None:
        return Work(kind, None, "")
    budgets = len(bank.config["budgets"] or shape["budgets"])
    settings = len(asked["alphas"]) * len(asked["neighbours"] or (0,))
    amount = count * budgets * settings * decode(shape, bank.inputs["images"])
    return Work(kind, amount, "images x budgets x settings")


def images_problem(config: dict[str, Any], count: int) -> str | None:
    """More images than there are to validate on."""
    asked = parse(PerturbedConfig, config["perturbed"], where="evaluation.perturbed")
    return EvaluationConfig(perturbed=asked).problem(count)


STAGE = Stage(
    name="perturbed",
    version=1,
    device=True,
    run="bench.stages.diagnostics.perturbed:run",
    work=work,
    images_problem=images_problem,
)
