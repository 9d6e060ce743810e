"""Lines on a suite's image folders: what they hold, and what of it was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.data.sources.places import source_of, told
from bench.graph.nodes import Node
from bench.graph.reconstructed import tell_of_others
from bench.store.stage import StageSpec
from bench.store.store import Store

Say = Callable[[str], None]


def tell_of_folders(nodes: list[Node], say: Say) -> None:
    """Splits, classes and counts of every image folder, before anything is computed."""
    for node in nodes:
        if node.stage == "manifest":
            for line in told(source_of(node.runtime)):
                say(line)


def tell_of_files(nodes: list[Node], store: Store, say: Say) -> None:
    """Images by split and files that are left out: on every run, also on one that reads nothing."""
    for manifest in _complete(nodes, "manifest", store):
        found = store.description(manifest.stage, manifest.key)["result"]
        listed = f"{store.artifact(manifest.stage, manifest.key)}/manifest.json"
        if found["unreadable"]:
            say(
                f"warning: {found['unreadable']} unreadable image files left out, "
                f"{found['count']} read: {listed}"
            )
        if "metadata_damaged" in found:
            count = found["metadata_damaged"]
            say(f"warning: {count} images with damaged metadata read without them: {listed}")
        counts = {
            f"{data.config['split']} {store.description(data.stage, data.key)['result']['count']}"
            for data in _complete(nodes, "data", store)
            if (manifest.stage, manifest.key) in data.inputs.values()
        }
        place = manifest.runtime.get("path") or manifest.runtime["train"][0]
        say(f"images of {place}: {', '.join(sorted(counts))}")
    for line in tell_of_others(nodes, store):
        say(line)


def _complete(nodes: list[Node], stage: str, store: Store) -> Iterator[StageSpec]:
    """The nodes of a stage that are in the store."""
    for node in nodes:
        spec = node.spec(store) if node.stage == stage else None
        if spec is not None and store.has(spec.stage, spec.key):
            yield spec
