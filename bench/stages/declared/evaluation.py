"""The evaluation stage: one allocation on the validation bank, with its controls."""

from __future__ import annotations

from typing import Any

from bench.config.evaluation import EvaluationConfig
from bench.stages import Stage
from bench.stages.work import Job, Work


def work(job: Job) -> Work:
    """Images, times budgets where each budget is evaluated."""
    config, bank = job.config, job.inputs["bank"]
    allocator = (config.get("allocator") or {}).get("kind")
    curve = allocator is None and "policy" not in job.inputs
    extractors = [bank.config[name] for name in ("extractor_resolution", "second_extractor")]
    kind = [allocator, curve, config.get("heuristics"), config["generative"], extractors]
    count = bank.inputs["images"].count
    shape = bank.inputs["tokenizer"].config["tokenizer"]
    budgets = len(bank.config["budgets"] or shape["budgets"]) if curve else 1
    return Work(kind, None if count is None else count * budgets, "images x budgets")


def images_problem(config: dict[str, Any], count: int) -> str | None:
    """Measures that need more than the validation images."""
    return EvaluationConfig.of_stage(config).problem(count)


STAGE = Stage(
    name="evaluation",
    version=4,
    device=True,
    run="bench.stages.evaluation:run",
    work=work,
    images_problem=images_problem,
)
