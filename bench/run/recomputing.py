"""Stages computed again into a folder of their own; the store, which gives the inputs, stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from bench.errors import UserError
from bench.files import as_json
from bench.graph.nodes import Node
from bench.run.executors import require_device
from bench.stages import STAGES
from bench.store.integrity import describe, verified
from bench.store.stage import Resources, StageContext
from bench.store.store import Store

DECODED = "bank"


@dataclass(frozen=True)
class Recomputing:
    """Computes stages of one record again, each once.

    Args:
        store: gives the inputs.
        folder: gets what is computed.
        suite: of the record, for the remedy of what is damaged.
        resources: those with which stages were computed, by `stage-key`.
        deep: whether the banks among the inputs are computed again as well.
    """

    store: Store
    folder: Path
    suite: str
    resources: Mapping[str, Resources]
    deep: bool = False
    _done: dict[str, dict[str, Any]] = field(default_factory=dict)

    def result(self, node: Node) -> dict[str, Any]:
        """What the stage gives, as JSON would hold it; its files are at `place`.

        Raises:
            DamagedError: an input is missing or damaged.
            UserError: the stage's device is not here, it refuses its inputs, or it fails.
        """
        spec = node.spec(self.store)
        assert spec is not None, "no node of a record waits for another's result"
        if spec.name not in self._done:
            spec = replace(spec, resources=self.resources.get(spec.name, spec.resources))
            require_device({spec.stage: spec.resources})
            inputs = {name: self._input(one) for name, one in node.inputs.items()}
            torch.set_num_threads(spec.resources.cpus)
            (work := self.place(node)).mkdir(parents=True)
            result = as_json(_computed(StageContext(spec, inputs, work)))
            describe(work, {"stage": spec.stage, "key": spec.key, "result": result})
            self._done[spec.name] = result
        return self._done[spec.name]

    def place(self, node: Node) -> Path:
        """The folder of what is computed again, laid out as the store is."""
        spec = node.spec(self.store)
        assert spec is not None
        return self.folder / spec.stage / spec.key

    def banks(self, node: Node) -> list[Node]:
        """The inputs of a stage that are computed again with it."""
        return [one for one in node.inputs.values() if self.deep and one.stage == DECODED]

    def _input(self, node: Node) -> Path:
        spec = node.spec(self.store)
        assert spec is not None
        if self.deep and node.stage == DECODED:
            self.result(node)
        if spec.name in self._done:
            return self.place(node)
        return verified(self.store.artifact(spec.stage, spec.key), suite=self.suite)


def _computed(context: StageContext) -> dict[str, Any]:
    try:
        return STAGES[context.spec.stage].compute(context)
    except (UserError, OSError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"{context.spec.name}: cannot be computed again ({reason})") from error
