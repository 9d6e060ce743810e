"""Too few images for what comes later, found before anything trains.

How many images a folder gives is known once its data stage is done, not when a suite is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bench.config.evaluation import EvaluationConfig, PerturbedConfig
from bench.config.settings import parse
from bench.errors import UserError
from bench.graph.nodes import Node
from bench.store.enough import require_bank, require_batch, require_training_batch
from bench.store.store import Store

# What the stages that look at validation images ask of them, by their settings.
MEASURING: dict[str, Callable[[Mapping[str, Any]], EvaluationConfig]] = {
    "evaluation": EvaluationConfig.of_stage,
    "perturbed": lambda config: EvaluationConfig(
        perturbed=parse(PerturbedConfig, config["perturbed"], where="evaluation.perturbed")
    ),
    "prefix_cosine": lambda config: EvaluationConfig(prefix_cosine_images=config["images"]),
}


def require_enough_images(nodes: Iterable[Node], store: Store) -> None:
    """Refuse what asks for more images than there are, where that is known.

    Raises:
        UserError: names the setting.
    """
    for node in nodes:
        if node.stage == "tokenizer":
            count = _count(node.inputs["images"], store)
            if count is not None:
                require_training_batch(node.config["training"]["batch"], count)
        elif node.stage == "bank" and node.config.get("images"):
            count = _count(node.inputs["images"], store)
            if count is not None:
                require_bank(node.config["images"], count)
        elif node.stage == "policy":
            bank = node.inputs["bank"]
            count = bank.config.get("images") or _count(bank.inputs["images"], store)
            if count is not None:
                require_batch(node.config["batch"], count)
        elif node.stage in MEASURING:
            count = _count(node.inputs["images"], store)
            if count is not None and (problem := MEASURING[node.stage](node.config).problem(count)):
                raise UserError(problem)
        elif node.stage == "samples":
            count = _count(node.inputs["bank"].inputs["images"], store)
            samples, asked = node.config["images"], EvaluationConfig.of_stage(node.config)
            if count is not None and (problem := asked.problem_of_samples(samples, count)):
                raise UserError(problem)


def _count(images: Node, store: Store) -> int | None:
    """How many images a data stage gives; None before it is done, unless the settings say so."""
    known: dict[str, Any] = images.config
    if "count" not in known or "limit" in known or "ids" in known:
        spec = images.computed(store)
        known = {} if spec is None else store.description(spec.stage, spec.key)["result"]
    return known.get("count")
