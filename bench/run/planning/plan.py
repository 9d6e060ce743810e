"""The stages that running a suite would compute, as the store stands, and their cost."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from typing import Any

from bench.graph.nodes import Graph, Node, upstream
from bench.run.planning.cost import Costs
from bench.run.planning.flops import distinct
from bench.run.planning.gpus import Machine
from bench.run.planning.memory import require_memory, training_bytes
from bench.run.room import Room, simulate
from bench.run.schedule import Schedule
from bench.store.stage import Resources
from bench.store.store import Store
from bench.suite.loading import Suite

HOUR = 3600.0
OVER = ("cached", "stopped")


def plan_suite(
    suite: Suite, graph: Graph, store: Store, *, machine: Machine | None = None
) -> list[dict[str, Any]]:
    """One row per distinct stage, in the order in which one at a time would be computed.

    `cells` need the stage, and `ends` of them end with it; `needs` are the numbers of rows before
    it. State is `cached`, `new`, `failed` (it will be tried again), `stopped` (a training that was
    stopped early, or what is behind one) or `waiting` (its key depends on a result that is still
    missing). `seconds` is what the artifact took. What is still to be
    computed has `expected_seconds` and `estimated_from` instead, both None where nothing like it
    was ever computed (`bench.run.planning.cost`).

    With a `machine`, stages whose FLOPs can be counted (`flops` of their rows) are expected to take
    what these take there; the others what they have taken here. `memory_bytes` are those that a
    training takes of each GPU.

    Raises:
        UserError: a training does not fit into a GPU of the machine.
    """
    cells_of = Counter(id(node) for stages in graph.ends for node in upstream(*stages))
    ends = Counter(id(stages[-1]) for stages in graph.ends)
    costs, nodes = Costs(store), in_order(graph, store)
    numbers = {node: number for number, node in enumerate(nodes)}
    rows = []
    stopped: set[Node] = set()
    for node in nodes:
        spec = node.spec(store)
        row: dict[str, Any] = {
            "stage": node.stage,
            "key": spec.key if spec else None,
            "state": "waiting",
            "cells": cells_of[id(node)],
            "ends": ends[id(node)],
            "cpus": node.resources.cpus,
            "gpus": node.resources.gpus,
            "needs": sorted({numbers[need] for need in node.needs}),
            "seconds": None,
        }
        if spec is not None and node.computed(store):
            took = store.description(spec.stage, spec.key)["seconds"]
            rows.append(row | {"state": "cached", "seconds": took})
            continue
        judged = node.stopped(store)
        if judged is not None or not stopped.isdisjoint(node.needs):
            stopped.add(node)
            row |= {"stopped_at": judged.step} if judged else {}
            rows.append(
                row | {"state": "stopped", "expected_seconds": None, "estimated_from": None}
            )
            continue
        if spec is not None:
            failed = store.failure(spec.stage, spec.key) is not None
            row["state"] = "failed" if failed else "new"
        estimate = costs.estimate(node)
        known = None if estimate is None else asdict(estimate)
        row["expected_seconds"] = known and known.pop("seconds")
        rows.append(row | {"estimated_from": known})
    if machine is not None:
        left = [number for number, row in enumerate(rows) if row["state"] not in OVER]
        jobs = [costs.planned(nodes[number]) for number in left]
        for number, job, flops in zip(left, jobs, distinct(jobs), strict=True):
            if flops is not None:
                rows[number] |= _on(machine, flops, rows[number]["gpus"])
            require_memory(job, there=machine.memory, gpu=f"an {machine.name}")
            memory = training_bytes(job)
            if memory is not None:
                rows[number]["memory_bytes"] = memory
    return rows


def _on(machine: Machine, flops: float, gpus: float) -> dict[str, Any]:
    """What a stage of so many FLOPs is expected to take there; it asks for one GPU at least."""
    gpus = min(max(gpus, 1.0), machine.count)
    return {
        "flops": flops,
        "gpus": gpus,
        "expected_seconds": flops / (machine.flops * gpus),
        "estimated_from": {"flops": flops, "machine": machine.name, "mfu": machine.mfu},
    }


def in_order(graph: Graph, store: Store) -> list[Node]:
    """The nodes of a graph in the order in which one stage at a time is computed."""
    nodes = graph.order()
    schedule = Schedule(
        {node: node.needs for node in nodes},
        Costs(store).expected(nodes).seconds,
        first=[node for node in nodes if node.after],
    )
    return list(simulate(schedule, {node: Resources() for node in nodes}, Room(1, 0)))


def plan_totals(rows: list[dict[str, Any]], *, cpus: int, gpus: float) -> dict[str, Any]:
    """Stages left to compute, the time and the hours of CPUs and GPUs they take.

    `seconds` is the time until all are done, each started in the order of the critical path as soon
    as there is room for it on `cpus` and `gpus`. Stages whose cost is not known count as nothing in
    it, and are counted in `not_known`. `critical_path` holds the rows of the longest chain.
    """
    to_do = _to_do(rows)
    seconds = {
        number: (row.get("expected_seconds") or 0.0) if number in to_do else 0.0
        for number, row in enumerate(rows)
    }
    schedule = Schedule({number: tuple(row["needs"]) for number, row in enumerate(rows)}, seconds)
    longest = [number for number in schedule.critical_path() if seconds[number]]
    asks = {number: Resources(row["cpus"], row["gpus"]) for number, row in enumerate(rows)}
    spans = simulate(schedule, asks, Room(cpus, gpus))
    kinds = dict.fromkeys(row["stage"] for row in to_do.values())
    by_stage = [_hours(kind, [r for r in to_do.values() if r["stage"] == kind]) for kind in kinds]
    return {
        "cpus": cpus,
        "gpus": gpus,
        "stages": len(to_do),
        "seconds": max((span.end for span in spans.values()), default=0.0),
        "not_known": sum(one["not_known"] for one in by_stage),
        "critical_path": {
            "seconds": math.fsum(seconds[number] for number in longest),
            "rows": longest,
            "stages": [rows[number]["stage"] for number in longest],
        },
        "cpu_hours": math.fsum(one["cpu_hours"] for one in by_stage),
        "gpu_hours": math.fsum(one["gpu_hours"] for one in by_stage),
        "by_stage": by_stage,
    }


def _to_do(rows: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Rows to be computed by their numbers, those of one key once."""
    found = {
        row["key"] or number: (number, row)
        for number, row in reversed([*enumerate(rows)])
        if row["state"] not in OVER
    }
    return dict(sorted(found.values(), key=lambda pair: pair[0]))


def _hours(stage: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Hours that the stages of one kind take of CPUs and of GPUs, as far as they are known."""
    known = [row for row in rows if row["expected_seconds"] is not None]
    return {
        "stage": stage,
        "stages": len(rows),
        "not_known": len(rows) - len(known),
        "cpu_hours": math.fsum(row["expected_seconds"] * row["cpus"] for row in known) / HOUR,
        "gpu_hours": math.fsum(row["expected_seconds"] * row["gpus"] for row in known) / HOUR,
    }
