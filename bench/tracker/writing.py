"""Points and parameters written in batches as large as MLflow takes them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from bench.tracker.points import Point

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS_PER_BATCH, PARAMETERS_PER_BATCH = 1000, 100


def log_points(
    client: MlflowClient, run_id: str, rows: Iterable[list[Point]], *, timestamp: int | None = None
) -> None:
    """Log rows of points, at that time in milliseconds or now.

    A batch is there as a whole or not at all, and holds whole rows unless one alone exceeds it.
    """
    from mlflow.entities import Metric

    when = round(1000 * time.time()) if timestamp is None else timestamp
    batch: list[Metric] = []
    for row in rows:
        if batch and len(batch) + len(row) > METRICS_PER_BATCH:
            client.log_batch(run_id, metrics=batch)
            batch = []
        batch += [Metric(point.name, point.value, when, point.step) for point in row]
        while len(batch) > METRICS_PER_BATCH:
            client.log_batch(run_id, metrics=batch[:METRICS_PER_BATCH])
            batch = batch[METRICS_PER_BATCH:]
    if batch:
        client.log_batch(run_id, metrics=batch)


def log_parameters(client: MlflowClient, run_id: str, values: Mapping[str, str]) -> None:
    """Log parameters; those that are there must have these values."""
    from mlflow.entities import Param

    params = [Param(name, text) for name, text in values.items()]
    for first in range(0, len(params), PARAMETERS_PER_BATCH):
        client.log_batch(run_id, params=params[first : first + PARAMETERS_PER_BATCH])
