"""Too few training images for what comes later, found before anything trains.

How many images a folder gives is known once its data stage is done, not when a suite is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.graph.nodes import Node
from bench.store.enough import require_bank, require_batch, require_training_batch
from bench.store.store import Store


def require_enough_images(nodes: Iterable[Node], store: Store) -> None:
    """Refuse what asks for more training images than there are, where that is known.

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


def _count(images: Node, store: Store) -> int | None:
    """How many images a data stage gives; None before it is done, unless the settings say so."""
    known: dict[str, Any] = images.config
    if "count" not in known or "limit" in known or "ids" in known:
        spec = images.computed(store)
        known = {} if spec is None else store.description(spec.stage, spec.key)["result"]
    return known.get("count")
