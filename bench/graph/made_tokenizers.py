"""A tokenizer of someone else that cannot be made, found before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable

from bench.errors import UserError
from bench.graph.nodes import Node
from bench.store.store import Store


def require_made(nodes: Iterable[Node], store: Store | None = None, *, where: str = "") -> None:
    """Make every tokenizer that is not trained here, each once, unless the store has seen it.

    Where its files are missing it fails its own cells when they are run, and is refused without a
    store. One for a GPU that is not here, as at the head of a cluster, is left to who has it.

    Raises:
        UserError: it cannot be made, or is for images of another size; `where` begins the line.
    """
    for node in nodes:
        if node.stage != "external" or (store is not None and node.computed(store)):
            continue
        if node.resources.device != "cpu" and not _has_gpu():
            continue
        # These import torch, which other suites are read without.
        from bench.external.guest import MissingFileError
        from bench.stages.external import looked_at

        try:
            looked_at(node.config, node.runtime, device=node.resources.device)
        except MissingFileError as error:
            if store is None:
                raise UserError(f"{where}{error}") from None
        except UserError as error:
            raise UserError(f"{where}{error}") from None


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
