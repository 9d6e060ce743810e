"""Images whose reconstructions were made elsewhere: seen to have them before anything is computed.

A folder's files are known once its own stage is done, and images once theirs are, which come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from bench.errors import UserError
from bench.graph.nodes import Node
from bench.store.store import Store

if TYPE_CHECKING:
    from bench.external.inventory import Inventory  # It imports pandas, which takes long.


class _Wanted(NamedTuple):
    """Images of a split that a bank is to be made of, at these budgets, and the folder's files."""

    split: str
    images: list[str]
    budgets: list[int]
    inventory: Inventory


def require_reconstructed(nodes: Iterable[Node], store: Store) -> None:
    """Refuse a folder in which reconstructions of a bank are missing or cannot be used.

    Raises:
        UserError: says which, of all splits.
    """
    for tokenizer, banks in _by_folder(nodes).items():
        found: list[str] = []
        missing = [bank for bank in banks if bank.computed(store) is None]
        for wanted in _wanted(tokenizer, missing, store):
            found += _problems(wanted)
        if found:
            from bench.external.inventory import told

            raise UserError(
                f"tokenizer.path: {tokenizer.runtime['images']}: {told(found)}; give each image "
                "one PNG or lossless WebP of the images' size, as BUDGET/ID.png"
            )


def tell_of_others(nodes: Iterable[Node], store: Store) -> Iterator[str]:
    """A line on each folder, and how many of its files are of no image that was asked for."""
    for tokenizer, banks in _by_folder(nodes).items():
        spec = tokenizer.computed(store)
        if spec is None:
            continue
        used: set[str] = set()
        for wanted in _wanted(tokenizer, banks, store):
            used |= wanted.inventory.used(wanted.images, wanted.budgets)
        files = store.description(spec.stage, spec.key)["result"]["files"]
        others = files - len(used)
        more = f", {others} files are of no image of this suite and not read" if others else ""
        yield f"reconstructions of {tokenizer.runtime['images']}: {len(used)} files{more}"


def _by_folder(nodes: Iterable[Node]) -> dict[Node, list[Node]]:
    """The banks of each folder of reconstructions."""
    found: dict[Node, list[Node]] = {}
    for node in nodes:
        if node.stage == "bank" and "images" in node.inputs["tokenizer"].runtime:
            found.setdefault(node.inputs["tokenizer"], []).append(node)
    return found


def _wanted(tokenizer: Node, banks: list[Node], store: Store) -> Iterator[_Wanted]:
    """What is known by now, each split and budgets once."""
    spec = tokenizer.computed(store)
    if spec is None:
        return
    import pandas as pd

    from bench.external.inventory import Inventory

    inventory = Inventory.read(store.artifact(spec.stage, spec.key))
    seen = set()
    for bank in banks:
        images = bank.inputs["images"].computed(store)
        if images is None:
            continue
        path = store.artifact(images.stage, images.key) / "images.parquet"
        names = pd.read_parquet(path, columns=["id"])["id"].tolist()[: bank.config.get("images")]
        budgets = bank.config["budgets"] or tokenizer.config["tokenizer"]["budgets"]
        key = (images.key, len(names), tuple(budgets))
        if key not in seen:
            seen.add(key)
            yield _Wanted(bank.inputs["images"].config["split"], names, budgets, inventory)


def _problems(wanted: _Wanted) -> list[str]:
    images, inventory = wanted.images, wanted.inventory
    of = f"{len(images)} {wanted.split} images"
    if not inventory.used(images, wanted.budgets):
        return [
            f"none of the {of} is there, at any budget: their ids are like {images[0]!r}, the "
            f"files like {inventory.example!r}; is it another image set?"
        ]
    return [problem.told(of) for problem in inventory.problems(images, wanted.budgets)]
