"""The stages that running a suite would compute, as the store stands, and their cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from bench.graph.nodes import Graph, upstream
from bench.records.tables import as_text
from bench.run.cost import Costs, makespan
from bench.store.progress import duration
from bench.store.store import Store
from bench.suite.loading import Suite

STATES = ("cached", "new", "failed", "waiting")


def plan_suite(suite: Suite, graph: Graph, store: Store) -> list[dict[str, Any]]:
    """One row per distinct stage, in the order of computation.

    `cells` need the stage, and `ends` of them end with it. State is `cached`, `new`, `failed` (it
    will be tried again) or `waiting` (its key depends on a result that is still missing). `seconds`
    is what the artifact took. What is still to be computed has `expected_seconds` and
    `estimated_from` instead, both None where nothing like it was ever computed (`bench.run.cost`).
    """
    cells_of = Counter(id(node) for stages in graph.ends for node in upstream(*stages))
    ends = Counter(id(stages[-1]) for stages in graph.ends)
    costs = Costs(store)
    rows = []
    for level, nodes in enumerate(graph.levels(), start=1):
        for node in nodes:
            spec = node.spec(store)
            row = {
                "level": level,
                "stage": node.stage,
                "key": spec.key if spec else None,
                "state": "waiting",
                "cells": cells_of[id(node)],
                "ends": ends[id(node)],
                "cpus": node.resources.cpus,
                "gpus": node.resources.gpus,
                "seconds": None,
            }
            if spec is not None and node.computed(store):
                took = store.description(spec.stage, spec.key)["seconds"]
                rows.append(row | {"state": "cached", "seconds": took})
                continue
            if spec is not None:
                failed = store.failure(spec.stage, spec.key) is not None
                row["state"] = "failed" if failed else "new"
            estimate = costs.estimate(node)
            known = None if estimate is None else asdict(estimate)
            row["expected_seconds"] = known and known.pop("seconds")
            rows.append(row | {"estimated_from": known})
    return rows


def plan_totals(rows: list[dict[str, Any]], *, cpus: int, gpus: float) -> dict[str, Any]:
    """Stages left to compute, and their time, per level and in all.

    `seconds` is the time until all stages are done whose cost is known, with as many side by side
    as `cpus` and `gpus` allow; `not_known` counts the others.
    """
    levels = []
    for level in sorted({row["level"] for row in rows}):
        to_do = _to_do([row for row in rows if row["level"] == level])
        known = [row for row in to_do if row["expected_seconds"] is not None]
        jobs = [(row["expected_seconds"], row["cpus"], row["gpus"]) for row in known]
        levels.append(
            {
                "level": level,
                "stages": len(to_do),
                "seconds": makespan(jobs, cpus=cpus, gpus=gpus),
                "not_known": len(to_do) - len(known),
            }
        )
    return {
        "cpus": cpus,
        "gpus": gpus,
        "levels": levels,
        **{name: sum(one[name] for one in levels) for name in ("stages", "seconds", "not_known")},
    }


def _to_do(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows to be computed, those of one key once."""
    rows = [row for row in rows if row["state"] != "cached"]
    return list({row["key"] or id(row): row for row in rows}.values())


def plan_text(
    name: str, rows: list[dict[str, Any]], totals: dict[str, Any], *, width: int | None = None
) -> str:
    """The plan for people: stages of a level that have a like cost together, then the totals."""
    states = Counter(row["state"] for row in rows)
    counts = ", ".join(f"{states[state]} {state}" for state in STATES if states[state])
    done = sum(row["ends"] for row in rows if row["state"] == "cached")
    lines = [f"{name}: {done} of {sum(row['ends'] for row in rows)} cells complete", ""]
    lines += [as_text(_summary(rows), width=width), ""]
    lines.append(f"{_stages(len(rows))}: {counts}")
    if not totals["stages"]:
        return "\n".join([*lines, "nothing to do"])
    uses_gpus = any(row["gpus"] for row in rows)
    of = f"{totals['cpus']} CPUs" + (f", {totals['gpus']:g} GPUs" if uses_gpus else "")
    for one in totals["levels"]:
        if one["stages"]:
            lines.append(f"level {one['level']}: {_time(one)} for {_stages(one['stages'])}")
    return "\n".join([*lines, f"in all: {_time(totals)} on {of}"])


def _summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        kind = (row["level"], row["stage"], row["state"], _basis(row))
        groups.setdefault(kind, []).append(row)
    return [
        {
            "level": level,
            "stage": stage,
            "stages": len(members),
            "state": state,
            "each": _each(members),
            "from": basis,
        }
        for (level, stage, state, basis), members in groups.items()
    ]


def _basis(row: dict[str, Any]) -> str:
    if row["state"] == "cached":
        return "measured"
    known = row["estimated_from"]
    if known is None:
        return "nothing like it was run"
    if known["factor"] == 1:
        return f"{known['count']} like it"
    return f"{known['count']} by {known['by']}"


def _each(rows: list[dict[str, Any]]) -> str:
    key = "seconds" if rows[0]["state"] == "cached" else "expected_seconds"
    seconds = [row[key] for row in rows]
    if seconds[0] is None:
        return "not known"
    low, high = duration(min(seconds)), duration(max(seconds))
    return low if low == high else f"{low} to {high}"


def _time(one: dict[str, Any]) -> str:
    known = one["stages"] - one["not_known"]
    if not known:
        return "not known"
    more = f", and {_stages(one['not_known'])} not known" * bool(one["not_known"])
    return f"about {duration(one['seconds'])}{more}"


def _stages(count: int) -> str:
    return f"{count} stage{'s' * (count != 1)}"
