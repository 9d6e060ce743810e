"""Results of the stages besides a cell's last one, as part of its record."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

from bench.errors import UserError
from bench.metrics.declared import declared_metric
from bench.records.sections.codebook import Codebook

# Parts of a record that our own diagnostics fill.
PARTS = ("perturbed", "code_histograms")


def with_derived(result: dict[str, Any]) -> dict[str, Any]:
    """The result of a cell's last stage, with the metrics that follow from its other parts.

    They are none of the stage's, so that a store from before them has them too.
    """
    codebook = result.get("codebook")
    if codebook is None:
        return result
    derived = Codebook.model_validate_json(json.dumps(codebook)).metrics()
    return {**result, "metrics": {**result["metrics"], **derived}}


def with_diagnostic(result: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """A cell's result with that of one of our diagnostics: metrics, values by budget, parts."""
    by_budget = {row["budget"]: row for row in found.get("by_budget", ())}
    return {
        **result,
        **{name: found[name] for name in PARTS if name in found},
        "metrics": {**result["metrics"], **found.get("metrics", {})},
        "curve": [{**row, **by_budget.get(row["budget"], {})} for row in result["curve"]],
    }


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
