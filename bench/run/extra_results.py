"""Results of the stages that a cell asks for besides its own, as part of its record."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from bench.errors import UserError
from bench.metrics.declared import declared_metric


def extra_metrics(stages: Iterable[dict[str, Any]], taken: Collection[str]) -> dict[str, Any]:
    """The `metrics` of these stages' results, from their descriptions.

    Raises:
        UserError: one is not declared, not a number, or among those `taken`; names the stage.
    """
    found: dict[str, Any] = {}
    for stage in stages:
        for name, value in stage["result"].get("metrics", {}).items():
            where = f"{stage['stage']}: metrics"
            declared_metric(name, where=where)
            if name in taken or name in found:
                raise UserError(f"{where}: the cell has another '{name}'; rename this one")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UserError(f"{where}: '{name}' is {value!r}, not a number")
            found[name] = value
    return found
