"""What running a suite would do, from the store as it stands."""

from __future__ import annotations

from typing import Any

from bench.graph import Graph
from bench.store import Store
from bench.suite import Suite


def plan_suite(suite: Suite, graph: Graph, store: Store) -> list[dict[str, Any]]:
    """One row per distinct stage, in the order of computation.

    State is `cached`, `new`, `failed` (it will be tried again) or `waiting` (its key depends on a
    result that is still missing). `seconds` is what the artifact took, or the mean of like stages.
    """
    cells_of: dict[int, int] = {}
    for evaluation in graph.evaluations:
        seen: set[int] = set()
        pending = [evaluation]
        while pending:
            node = pending.pop()
            if id(node) not in seen:
                seen.add(id(node))
                cells_of[id(node)] = cells_of.get(id(node), 0) + 1
                pending += node.inputs.values()
    rows = []
    for level, nodes in enumerate(graph.levels(), start=1):
        for node in nodes:
            spec = node.spec(store)
            seconds = None
            if spec is None:
                state = "waiting"
            elif store.has(spec.stage, spec.key):
                state, seconds = "cached", store.description(spec.stage, spec.key)["seconds"]
            else:
                state = "new" if store.failure(spec.stage, spec.key) is None else "failed"
            rows.append(
                {
                    "level": level,
                    "stage": node.stage,
                    "key": spec.key if spec else None,
                    "state": state,
                    "cells": cells_of[id(node)],
                    "seconds": seconds,
                }
            )
    means: dict[str, list[float]] = {}
    for row in rows:
        if row["seconds"] is not None:
            means.setdefault(row["stage"], []).append(row["seconds"])
    for row in rows:
        if row["seconds"] is None and row["stage"] in means:
            row["expected_seconds"] = sum(means[row["stage"]]) / len(means[row["stage"]])
    return rows
