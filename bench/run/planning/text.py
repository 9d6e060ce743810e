"""The plan of a suite for people."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from bench.records.tables import as_text
from bench.run.planning.gpus import Machine
from bench.run.planning.memory import GB
from bench.store.progress import duration

STATES = ("cached", "new", "failed", "stopped", "waiting")


def plan_text(
    name: str,
    rows: list[dict[str, Any]],
    totals: dict[str, Any],
    *,
    width: int | None = None,
    machine: Machine | None = None,
) -> str:
    """Stages that have a like cost together, then what is left to do, and on which `machine`."""
    states = Counter(row["state"] for row in rows)
    counts = ", ".join(f"{states[state]} {state}" for state in STATES if states[state])
    done = sum(row["ends"] for row in rows if row["state"] == "cached")
    lines = [f"{name}: {done} of {sum(row['ends'] for row in rows)} cells complete", ""]
    lines += [as_text(_summary(rows), width=width), ""]
    lines.append(f"{_stages(len(rows))}: {counts}")
    if not totals["stages"]:
        return "\n".join([*lines, "nothing to do"])
    uses_gpus = any(row["gpus"] for row in rows)
    for unit in ("cpu", "gpu") if uses_gpus else ("cpu",):
        if totals[f"{unit}_hours"]:
            lines.append(f"{unit.upper()}-hours: {_hours(totals, unit)}")
    path = totals["critical_path"]
    if path["stages"]:
        lines.append(f"critical path: {duration(path['seconds'])}: {_chain(path['stages'])}")
    of = f"{totals['cpus']} CPUs" + (f", {totals['gpus']:g} GPUs" if uses_gpus else "")
    lines.append(f"in all: {_time(totals)} on {of}")
    if machine is not None:
        lines.append(f"counted FLOPs: on {machine}; others: as here")
    return "\n".join(lines)


def _summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["stage"], row["state"], _basis(row)), []).append(row)
    return [
        {
            "stage": stage,
            "stages": len(members),
            "state": state,
            "each": _each(members),
            "from": basis,
            **_memory(members),
        }
        for (stage, state, basis), members in groups.items()
    ]


def _memory(rows: list[dict[str, Any]]) -> dict[str, str]:
    """What they take of each GPU, where that is estimated."""
    known = [row["memory_bytes"] / GB for row in rows if "memory_bytes" in row]
    if not known:
        return {}
    low, high = f"{min(known):.1f}", f"{max(known):.1f}"
    return {"GPU memory": f"{low if low == high else f'{low} to {high}'} GB"}


def _basis(row: dict[str, Any]) -> str:
    if row["state"] == "cached":
        return "measured"
    if row["state"] == "stopped":
        return "stopped early"
    known = row["estimated_from"]
    if known is None:
        return "nothing like it was run"
    if "flops" in known:
        return "counted FLOPs"
    if known["factor"] == 1:
        return f"{known['count']} like it"
    return f"{known['count']} by {known['by']}"


def _each(rows: list[dict[str, Any]]) -> str:
    if rows[0]["state"] == "stopped":
        return "-"
    key = "seconds" if rows[0]["state"] == "cached" else "expected_seconds"
    seconds = [row[key] for row in rows]
    if seconds[0] is None:
        return "not known"
    low, high = duration(min(seconds)), duration(max(seconds))
    return low if low == high else f"{low} to {high}"


def _hours(totals: dict[str, Any], unit: str) -> str:
    """`2.1 (tokenizer 2, bank 0.12)`, the most first."""
    name = f"{unit}_hours"
    parts = sorted(totals["by_stage"], key=lambda one: -one[name])
    told = ", ".join(f"{one['stage']} {one[name]:.2g}" for one in parts if one[name])
    more = f", and {_stages(totals['not_known'])} not known" * bool(totals["not_known"])
    return f"{totals[name]:.3g} ({told}{more})"


def _chain(stages: list[str]) -> str:
    """`data > 3 x tokenizer > bank`."""
    runs = [(stage, len(list(group))) for stage, group in itertools.groupby(stages)]
    return " > ".join(f"{count} x {stage}" if count > 1 else stage for stage, count in runs)


def _time(one: dict[str, Any]) -> str:
    known = one["stages"] - one["not_known"]
    if not known:
        return "not known"
    more = f", and {_stages(one['not_known'])} not known" * bool(one["not_known"])
    return f"about {duration(one['seconds'])}{more}"


def _stages(count: int) -> str:
    return f"{count} stage{'s' * (count != 1)}"
