"""Names of allocators, for people."""

from __future__ import annotations

from typing import Any

from reports.analysis.groups import Record, setting

WORDS = {
    "agnostic": "agnostic mixture",
    "oracle": "oracle",
    "random": "random",
    "shuffled": "shuffled over the images",
    "fixed": "fixed budget",
    "png_size": "PNG size",
    "edge_density": "edge density",
    "codebook_entropy": "codebook entropy",
    "threshold_scan": "threshold, scan",
    "threshold_bisection": "threshold, bisection",
    "own": "its own halting",
}


def allocator_words(record: Record) -> str:
    """What chooses the budgets of a cell: `policy`, `supervised, centred`, `PNG size`, ..."""
    if setting(record, "policy") is not None:
        return _policy_name(record)
    settings = record["settings"].get("allocator")
    if settings is None:
        return WORDS["fixed"]
    kind = settings["kind"]
    name = control_words("_".join([kind, settings["search"]]) if "search" in settings else kind)
    return f"{name} at {settings['target']:g}" if kind == "own" else name


def control_words(name: str) -> str:
    """A control of a record in words; names that are not known stay as they are."""
    return WORDS.get(name, name.replace("_", " "))


def _policy_name(record: Record) -> str:
    objective: dict[str, Any] = setting(record, "policy.objective")
    seen = setting(record, "policy.input")
    if objective.get("kind") == "supervised":
        if seen == "pixels":
            return "complexity predictor, from pixels"
        return "supervised, centred" if objective.get("centred") else "supervised"
    return "policy" if seen in (None, "latents") else f"policy, from {seen}"
