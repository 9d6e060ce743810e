"""Too few images for what comes later, found before anything trains.

How many images a folder gives is known once its data stage is done, not when a suite is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.graph.nodes import Node
from bench.stages import STAGES
from bench.store.store import Store


def require_enough_images(nodes: Iterable[Node], store: Store) -> None:
    """Refuse what asks for more images than there are, where that is known.

    Raises:
        UserError: names the setting.
    """
    for node in nodes:
        stage = STAGES[node.stage]
        count = _count(node, store) if stage.images_problem else None
        if count is not None:
            stage.require_images(node.config, count)


def _count(node: Node, store: Store) -> int | None:
    """How many images a stage looks at: those of the bank that it reads, or else of its input."""
    bank = node.inputs.get("bank")
    if bank is not None:
        return bank.config.get("images") or _count(bank, store)
    return _given(node.inputs["images"], store) if "images" in node.inputs else None


def _given(images: Node, store: Store) -> int | None:
    """How many images a data stage gives; None before it is done, unless the settings say so."""
    known: dict[str, Any] = images.config
    if "count" not in known or "limit" in known or "ids" in known:
        spec = images.computed(store)
        known = {} if spec is None else store.description(spec.stage, spec.key)["result"]
    return known.get("count")
