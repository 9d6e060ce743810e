"""Too few training images for what comes later, found before anything trains.

How many images a folder gives is known once its data stage is done, not when a suite is read.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.errors import UserError
from bench.graph import Node
from bench.store import Store


def require_enough_images(nodes: Iterable[Node], store: Store) -> None:
    """Refuse banks and policies that ask for more training images than there are, where known.

    Raises:
        UserError: names the setting.
    """
    for node in nodes:
        if node.stage == "bank" and node.config.get("images"):
            count = _count(node.inputs["images"], store)
            if count is not None:
                require_bank(node.config["images"], count)
        elif node.stage == "policy":
            bank = node.inputs["bank"]
            count = bank.config.get("images") or _count(bank.inputs["images"], store)
            if count is not None:
                require_batch(node.config["batch"], count)


def require_bank(images: int, count: int) -> None:
    """Refuse a policy's bank of more than the `count` training images."""
    if images > count:
        raise UserError(
            f"bank.policy_images: {images} exceeds the {count} training images; ask for fewer, or "
            "null for all"
        )


def require_batch(batch: int, count: int) -> None:
    """Refuse a policy's batch of more than the `count` images of its bank."""
    if batch > count:
        raise UserError(
            f"policy.batch: {batch} exceeds the {count} images of the policy's bank; lower it, or "
            "raise bank.policy_images"
        )


def _count(images: Node, store: Store) -> int | None:
    """How many images a data stage gives; None before it is done, unless the settings say so."""
    if "count" in images.config:
        return images.config["count"]
    spec = images.spec(store)
    if spec is None or not store.has(spec.stage, spec.key):
        return None
    return store.description(spec.stage, spec.key)["result"]["count"]
