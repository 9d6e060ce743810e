"""Reaching MLflow: where it is, its settings, and what its failures are called."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from bench.errors import UserError
from bench.store.store import Store
from bench.tracker.patience import Patient

if TYPE_CHECKING:
    from mlflow import MlflowClient

MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # Failures are one line of ours.
}


class TrackerError(UserError):
    """MLflow could not be brought up to date; the records are as complete as before."""


def tracking_uri(store: Store) -> str:
    """The store's own tracking database, by absolute path."""
    return f"sqlite:///{store.root / 'mlflow.db'}"


@contextmanager
def connected(uri: str) -> Iterator[MlflowClient]:
    """A client of the tracker at `uri`.

    Raises:
        TrackerError: whatever goes wrong inside, in one line.
    """
    try:
        os.environ.update(MLFLOW_ENVIRONMENT)
        from mlflow import MlflowClient

        # Its announcement of a new database is no news to whoever reads a run's progress.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        yield cast("MlflowClient", Patient(lambda: MlflowClient(tracking_uri=uri)))
    except Exception as error:  # MLflow and its back ends raise nearly anything.
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise TrackerError(f"MLflow at {uri} was not updated ({reason})") from error
