"""Short names of cells, made of what their arm sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe(value: Any) -> str:
    """A swept value for people: `constraint mean_budget 6`, `2-4-8-16`."""
    if isinstance(value, Mapping):
        parts = [
            describe(item) if key == "kind" else f"{key} {item}" for key, item in value.items()
        ]
        return " ".join(parts)
    if isinstance(value, list | tuple):
        return "-".join(map(str, value))
    return str(value)


def describe_sweep(
    swept: Mapping[str, Any], *, under: tuple[str, ...] = (), seeds: bool = True
) -> str:
    """Swept values as `lora.rank 8, candidates 2-4-8`: all, or those whose path starts so.

    A mapping speaks for itself; other values carry the last two names of their path.
    """
    parts = []
    for path, value in swept.items():
        if path.endswith("seed") and not seeds:
            continue
        if under and not path.startswith(under):
            continue
        name = ".".join(path.split(".")[1:][-2:])
        parts.append(describe(value) if isinstance(value, Mapping) else f"{name} {describe(value)}")
    return ", ".join(parts)


def arm_and_sweep(
    arm: str, swept: Mapping[str, Any], *, under: tuple[str, ...] = (), seeds: bool = False
) -> str:
    """`heads: lora.rank 8`: an arm with what it sweeps, see `describe_sweep`."""
    words = describe_sweep(swept, under=under, seeds=seeds)
    return f"{arm}: {words}" if words else arm
