"""Differences image by image, from the tables that two records name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet

from bench.records.record import Record
from bench.store.integrity import has_travelled, verified_file

IDENTITY = ["id", "sha256"]


def image_differences(
    a: tuple[Record, Path], b: tuple[Record, Path], metric: str, budget: int | None
) -> np.ndarray:
    """A per-image metric of `b` minus that of `a`, `[n]`, matched by id and content.

    Args:
        a: a record, and the store that its table's path starts from.
        b: the same of the other side.
        metric: a column of both tables.
        budget: take the rows of this budget; None takes all, one per image.

    Raises:
        ValueError: a table, the metric or the budget is missing, or they hold other images.
        DamagedError: a table is damaged, or gone.
    """
    first, second = (_values(*side, metric, budget) for side in (a, b))
    if first.index.has_duplicates or not first.index.sort_values().equals(
        second.index.sort_values()
    ):
        raise ValueError("the per-image tables hold other images")
    return (second.reindex(first.index) - first).to_numpy(dtype=np.float64)


def image_values(record: Record, store: Path, metric: str, budget: int | None) -> np.ndarray:
    """A per-image metric of a record, `[n]`; raises `ValueError` as `image_differences` does."""
    return _values(record, store, metric, budget).to_numpy(dtype=np.float64)


def _values(record: Record, store: Path, metric: str, budget: int | None) -> pd.Series:
    path = store / record.images if record.images else None
    if path is None or has_travelled(path.parent):
        raise ValueError("no per-image table")
    verified_file(path, suite=record.suite)
    if metric not in parquet.read_schema(path).names:
        raise ValueError("no per-image values of it")
    table = pd.read_parquet(path, columns=[*IDENTITY, "budget", metric])
    if budget is not None:
        table = table[table["budget"] == budget]
        if table.empty:
            raise ValueError("no per-image values at this budget")
    return table.set_index(IDENTITY)[metric]
