"""Points, parameters and tags written in batches as large as MLflow takes them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from bench.tracker.points import Point

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS_PER_BATCH, OTHERS_PER_BATCH = 900, 100


def log_batches(
    client: MlflowClient,
    run_id: str,
    *,
    rows: Iterable[list[Point]] = (),
    parameters: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    timestamp: int | None = None,
) -> None:
    """Log rows of points, at that time in milliseconds or now, with parameters and, last, tags.

    Calls cost more than what they carry. A batch is there as a whole or not at all, and holds whole
    rows unless one alone exceeds it.
    """
    from mlflow.entities import Metric, Param, RunTag

    when = round(1000 * time.time()) if timestamp is None else timestamp
    batches = [
        [Metric(point.name, point.value, when, point.step) for point in batch]
        for batch in _batches(rows)
    ]
    params = [Param(name, text) for name, text in (parameters or {}).items()]
    last = [RunTag(name, text) for name, text in (tags or {}).items()]
    while len(batches) > 1:
        client.log_batch(run_id, metrics=batches.pop(0))
    while len(params) + len(last) > OTHERS_PER_BATCH:
        client.log_batch(run_id, params=params[:OTHERS_PER_BATCH])
        params = params[OTHERS_PER_BATCH:]
    metrics = batches[0] if batches else []
    if metrics or params or last:
        client.log_batch(run_id, metrics=metrics, params=params, tags=last)


def _batches(rows: Iterable[list[Point]]) -> Iterator[list[Point]]:
    batch: list[Point] = []
    for row in rows:
        if batch and len(batch) + len(row) > METRICS_PER_BATCH:
            yield batch
            batch = []
        batch = batch + row
        while len(batch) > METRICS_PER_BATCH:
            yield batch[:METRICS_PER_BATCH]
            batch = batch[METRICS_PER_BATCH:]
    if batch:
        yield batch
