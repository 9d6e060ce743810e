"""How much work a stage is, from what it is asked to do: what `bench.run.cost` compares.

Letters: `D` width, `S` sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.files import canonical_json

# Stages that do the same work do it whatever these are.
_NO_WORK = ("seed", "log_every", "checkpoint_every")


@dataclass(frozen=True)
class Job:
    """What decides the cost of a stage, computed or not. `count` images are in a split."""

    stage: str
    config: dict[str, Any]
    inputs: dict[str, Job]
    resources: dict[str, Any]
    count: int | None = None


def measure(job: Job) -> tuple[str, float | None, str]:
    """What kind of work a job is, how much of it (None: not known), and of what."""
    try:
        kind, work, by = _DRIVERS.get(job.stage, _same_settings)(job)
    except (KeyError, TypeError):  # An input was cleared away, or is of an older version.
        return "", None, ""
    resources = [job.resources[name] for name in ("device", "cpus", "gpus")]
    return canonical_json([resources, kind]), work, by


def _data(job: Job) -> tuple[Any, float | None, str]:
    work = None if job.count is None else job.count * job.config["resolution"] ** 2
    return job.config["kind"], work, "images x pixels"


def _tokenizer(job: Job) -> tuple[Any, float | None, str]:
    training, shape = job.config["training"], job.config["tokenizer"]
    kind = [
        shape["encoding"],
        shape["decoders"],
        training["precision"],
        training["perceptual"] > 0,
        training["adversarial"] is not None,
        job.config.get("trainable"),
    ]
    passes = _encode(shape, job.inputs["images"]) + _decode(shape, job.inputs["images"])
    return kind, training["steps"] * training["batch"] * passes, "steps x batch x network"


def _bank(job: Job) -> tuple[Any, float | None, str]:
    config, images = job.config, job.inputs["images"]
    shape = job.inputs["tokenizer"].config["tokenizer"]
    kind = [
        config["purpose"],
        shape["encoding"],
        config["extractor_resolution"],
        config.get("second_extractor"),
        config.get("inception") is not None,
        config.get("own_targets") is not None,
    ]
    count = config.get("images") or images.count
    if count is None:
        return kind, None, ""
    budgets = len(config["budgets"] or shape["budgets"])
    work = count * (budgets + 1) * (_encode(shape, images) + _decode(shape, images))
    if config["extractor_resolution"]:  # The metric networks take most of the time.
        work = count * (budgets + 1)
    return kind, work, "images x budgets"


def _policy(job: Job) -> tuple[Any, float | None, str]:
    config, bank = job.config, job.inputs["bank"]
    shape = bank.inputs["tokenizer"].config["tokenizer"]
    kind = [config["objective"]["kind"], config["input"]]
    tokens = shape["budgets"][-1] * shape["width"]
    return kind, config["steps"] * config["batch"] * tokens, "steps x batch x tokens"


def _evaluation(job: Job) -> tuple[Any, float | None, str]:
    config, bank = job.config, job.inputs["bank"]
    allocator = (config.get("allocator") or {}).get("kind")
    curve = allocator is None and "policy" not in job.inputs
    extractors = [bank.config[name] for name in ("extractor_resolution", "second_extractor")]
    kind = [allocator, curve, config.get("heuristics"), config["generative"], extractors]
    count = bank.inputs["images"].count
    shape = bank.inputs["tokenizer"].config["tokenizer"]
    budgets = len(bank.config["budgets"] or shape["budgets"]) if curve else 1
    return kind, None if count is None else count * budgets, "images x budgets"


def _png_sizes(job: Job) -> tuple[Any, float | None, str]:
    images = job.inputs["images"]
    _, work, by = _data(images)
    return None, work, by


def _generator(job: Job) -> tuple[Any, float | None, str]:
    config, training = job.config, job.config["training"]
    kind = [config["generator"]["lengths"], training["precision"], "policy" in job.inputs]
    work = training["steps"] * training["batch"] * _sequence(job)
    return kind, work, "steps x batch x network"


def _samples(job: Job) -> tuple[Any, float | None, str]:
    config, generator = job.config, job.inputs["generator"]
    kind = [
        generator.config["generator"]["lengths"],
        config["sampling"]["guidance"] > 1,
        *(config[name] for name in ("generative", "extractor_resolution", "second_extractor")),
    ]
    return kind, config["images"] * _sequence(generator), "images x network"


def _same_settings(job: Job) -> tuple[Any, float | None, str]:
    """A stage of which nothing is known: it costs what one with the same settings has cost."""
    return [_of_work(job.config), sorted(job.inputs)], 1.0, "same settings"


_DRIVERS: dict[str, Callable[[Job], tuple[Any, float | None, str]]] = {
    "data": _data,
    "tokenizer": _tokenizer,
    "bank": _bank,
    "policy": _policy,
    "evaluation": _evaluation,
    "generator": _generator,
    "samples": _samples,
    "png_sizes": _png_sizes,
}


def _of_work(config: Any) -> Any:
    if isinstance(config, dict):
        return {name: _of_work(value) for name, value in config.items() if name not in _NO_WORK}
    return config


def _encode(shape: dict[str, Any], images: Job) -> float:
    rollouts = shape["rollouts"] or 1
    return rollouts * shape["encoder_depth"] * _layer(shape, images)


def _decode(shape: dict[str, Any], images: Job) -> float:
    return shape["decoder_depth"] * _layer(shape, images)


def _layer(shape: dict[str, Any], images: Job) -> float:
    """Multiplications of a transformer's layer, but for a constant: `S (6 D^2 + S D)`."""
    sequence = (images.config["resolution"] / shape["patch_size"]) ** 2 + shape["budgets"][-1]
    return sequence * (6 * shape["width"] ** 2 + sequence * shape["width"])


def _sequence(generator: Job) -> float:
    """Multiplications of a generator over its longest sequence, but for a constant."""
    shape = generator.config["generator"]
    tokens = generator.inputs["tokenizer"].config["tokenizer"]["budgets"][-1]
    sequence, width = (generator.config["budget"] or tokens) + 1, shape["width"]
    return shape["depth"] * sequence * (6 * width**2 + sequence * width)
