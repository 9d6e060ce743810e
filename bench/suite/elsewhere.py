"""Suites whose files lie elsewhere: planned, or tried, without those that are not here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config.bank import BankConfig
from bench.suite.expansion import Taken


@dataclass(frozen=True, kw_only=True)
class Elsewhere(Taken):
    """Cells without the weights and references of samples whose files are not here."""

    def apply(self, raw: dict[str, Any]) -> None:
        """Leave them out of a cell's settings."""
        super().apply(raw)
        leave_out(raw)


def leave_out(raw: dict[str, Any]) -> None:
    """Leave Inception's weights and a reference of samples out where they are not here."""
    if missing_files(raw):
        raw["bank"] = raw["bank"] | {"inception_weights": None}
    reference = (raw.get("generation") or {}).get("reference")
    if isinstance(reference, dict):
        there = Path(str(reference.get("file"))).expanduser().is_file()
        known = raw.get("bank", {}).get("inception_weights") or reference.get("extractor")
        if not there or not known:
            raw["generation"] = raw["generation"] | {"reference": None}


def missing_files(raw: dict[str, Any]) -> list[str]:
    """Inception's weights, if a cell's settings name such a file and it is not here."""
    path = (raw.get("bank") or {}).get("inception_weights")
    if not isinstance(path, str):
        return []
    paths = BankConfig(inception_weights=path).weight_paths.values()
    return [one for one in paths if not Path(one).is_file()]
