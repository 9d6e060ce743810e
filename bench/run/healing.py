"""What a run does about artifacts that are not as they were written."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.graph.nodes import Node
from bench.store.stage import StageSpec, set_aside_text
from bench.store.store import Store

Say = Callable[[str], None]


def set_aside_damaged(nodes: Iterable[Node], store: Store, say: Say) -> int:
    """Check what the store has of these stages; set aside what is damaged, with a line for each.

    Gives how many artifacts of an old version got their hashes by this.
    """
    specs: dict[str, StageSpec] = {}
    for node in nodes:
        spec = node.spec(store)
        if spec is not None and store.artifact(spec.stage, spec.key).exists():
            specs[spec.name] = spec
    unhashed = 0
    for spec in specs.values():
        old = store.has(spec.stage, spec.key) and not store.is_hashed(spec.stage, spec.key)
        error = store.check(spec.stage, spec.key)
        place = store.set_aside(spec.stage, spec.key) if error else None
        if error and place:
            say(set_aside_text(error, place))
        unhashed += old and error is None
    return unhashed
