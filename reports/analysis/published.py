"""Published results, to be drawn beside our own: they were not measured here.

A YAML file: `metric` (a name of `bench.metrics.declared`), `unit` and `dataset` for captions,
`rows`. A row: `system`, `tokens`, the metric's value under the metric's name, `source`;
optionally `kind`, `confidence` and `note`. Other keys of the file are for other readers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config.yaml_text import read_yaml
from bench.errors import UserError, suggestion
from bench.metrics.declared import METRICS


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One published result; `tokens` per image, on average where a policy chooses."""

    system: str
    tokens: float
    value: float
    source: str
    kind: str = ""
    confidence: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Published results of one metric on one set of images."""

    metric: str
    unit: str
    dataset: str
    rows: tuple[PublishedRow, ...]


def read_published(path: Path) -> Published:
    """Read and check a file of published results.

    Raises:
        UserError: the first thing that is wrong, naming the file and the key.
    """
    raw = read_yaml(Path(path))
    metric = _text(raw, "metric", where=str(path))
    if metric not in METRICS:
        raise UserError(
            f"{path}: metric: unknown metric '{metric}'{suggestion(metric, list(METRICS))}"
        )
    rows = raw.get("rows")
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path}: rows: give a list of at least one result")
    return Published(
        metric=metric,
        unit=_text(raw, "unit", where=str(path), default=""),
        dataset=_text(raw, "dataset", where=str(path)),
        rows=tuple(
            _row(row, metric, where=f"{path}: rows[{number}]") for number, row in enumerate(rows)
        ),
    )


def _row(raw: Any, metric: str, *, where: str) -> PublishedRow:
    if not isinstance(raw, dict):
        raise UserError(f"{where}: give a mapping with system, tokens, {metric} and source")
    optional = ("kind", "confidence", "note")
    known = ("system", "tokens", metric, "source", *optional)
    for key in raw:
        if key not in known:
            raise UserError(f"{where}: unknown key '{key}'{suggestion(str(key), list(known))}")
    return PublishedRow(
        system=_text(raw, "system", where=where),
        tokens=_number(raw, "tokens", where=where),
        value=_number(raw, metric, where=where),
        source=_text(raw, "source", where=where),
        **{key: _text(raw, key, where=where, default="") for key in optional},
    )


def _text(raw: dict[str, Any], key: str, *, where: str, default: str | None = None) -> str:
    value = raw.get(key, default)
    if not isinstance(value, str) or (not value.strip() and default is None):
        raise UserError(f"{where}: {key}: give a text")
    return value.strip()


def _number(raw: dict[str, Any], key: str, *, where: str) -> float:
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UserError(f"{where}: {key}: give a number above 0")
    return float(value)
