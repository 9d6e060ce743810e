"""MLflow as a view of the records: one experiment per suite, one run per cell.

The driver is the only writer. A run is found again by its `cell_key` tag and left alone while its
record has not changed, so mirroring twice changes nothing.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.store import Store, canonical_json, content_key

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}
METRICS_PER_BATCH = 1000


def tracking_uri(store: Store) -> str:
    """The store's own tracking database, by absolute path."""
    return f"sqlite:///{store.root / 'mlflow.db'}"


def mirror(
    records: list[dict[str, Any]], store: Store, *, uri: str, figures: list[Path], say: Callable
) -> None:
    """Bring MLflow up to date with the records; a tracker that fails costs a warning, no result."""
    try:
        with store.locked("mlflow"):
            _mirror(records, store, uri, figures)
    except Exception as error:  # MLflow and its back ends raise nearly anything.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        say(f"warning: MLflow at {uri} was not updated ({reason}); the records are complete, "
            "and the same command mirrors them later")  # fmt: skip


def _mirror(records: list[dict[str, Any]], store: Store, uri: str, figures: list[Path]) -> None:
    os.environ.update(MLFLOW_ENVIRONMENT)
    from mlflow import MlflowClient

    # Its announcement of a new database is no news to whoever reads a run's progress.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    client = MlflowClient(tracking_uri=uri)
    suite = records[0]["suite"]
    experiment = client.get_experiment_by_name(suite)
    if experiment is None:
        artifacts = (store.root / "mlflow-artifacts" / suite).as_uri()
        local = uri.startswith("sqlite:")
        experiment_id = client.create_experiment(suite, artifacts if local else None)
    else:
        experiment_id = experiment.experiment_id
    known = {
        run.data.tags["cell_key"]: run
        for run in _runs(client, experiment_id)
        if "cell_key" in run.data.tags
    }
    suite_key = content_key(sorted(record["cell_key"] for record in records))
    parent = _parent(client, experiment_id, suite, suite_key)
    for record in records:
        _mirror_cell(client, experiment_id, parent.info.run_id, record, known)
    for figure in figures:
        client.log_artifact(parent.info.run_id, str(figure))
    failed = any(record["status"] != "done" for record in records)
    client.set_terminated(parent.info.run_id, status="FAILED" if failed else "FINISHED")


def _runs(client: MlflowClient, experiment_id: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _parent(client: MlflowClient, experiment_id: str, suite: str, suite_key: str) -> Run:
    """The run of the suite's invocation: a resumed suite goes on in the one it began."""
    found = client.search_runs([experiment_id], f"tags.suite_key = '{suite_key}'", max_results=1)
    if found:
        client.update_run(found[0].info.run_id, status="RUNNING")
        return found[0]
    return client.create_run(experiment_id, tags={"suite_key": suite_key}, run_name=suite)


def _mirror_cell(
    client: MlflowClient,
    experiment_id: str,
    parent_id: str,
    record: dict[str, Any],
    known: dict[str, Run],
) -> None:
    digest = content_key({name: record.get(name) for name in record if name != "provenance"})
    old = known.get(record["cell_key"])
    if old is not None:
        complete = old.data.tags.get("record") == digest and old.info.status != "RUNNING"
        if complete:
            client.set_tag(old.info.run_id, "mlflow.parentRunId", parent_id)
            return
        # Its metrics may be half written or of an older record, and points cannot be taken back.
        client.delete_run(old.info.run_id)
    run = client.create_run(
        experiment_id, tags=_tags(record, parent_id), run_name=record["label"][:250]
    )
    run_id = run.info.run_id
    _log(client, run_id, record)
    client.log_dict(run_id, record, "record.json")
    client.log_dict(run_id, record["settings"], "settings.json")
    client.set_tag(run_id, "record", digest)
    client.set_terminated(run_id, status="FINISHED" if record["status"] == "done" else "FAILED")


def _tags(record: dict[str, Any], parent_id: str) -> dict[str, str]:
    return {
        "mlflow.parentRunId": parent_id,
        "cell_key": record["cell_key"],
        "suite": record["suite"],
        "arm": record["arm"],
        "status": record["status"],
        "error": record["error"] or "",
        "protocol": record.get("protocol_hash", ""),
        "git_commit": record["provenance"]["git_commit"] or "",
    }


def _log(client: MlflowClient, run_id: str, record: dict[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    params = [Param(name, str(value)[:500]) for name, value in flatten(record["settings"])]
    for first in range(0, len(params), 100):
        client.log_batch(run_id, params=params[first : first + 100])
    metrics = [
        Metric(name, value, 0, step)
        for name, value, step in _points(record)
        if math.isfinite(value)
    ]
    for first in range(0, len(metrics), METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=metrics[first : first + METRICS_PER_BATCH])


def _points(record: dict[str, Any]) -> Iterator[tuple[str, float, int]]:
    """Every number of a record as (name, value, step)."""
    for name, value in record.get("metrics", {}).items():
        if value is not None:
            yield name, float(value), 0
    for control, metrics in record.get("controls", {}).items():
        for name, value in metrics.items():
            if value is not None:
                yield f"control/{control}/{name}", float(value), 0
    for row in record.get("curve", []):
        for name, value in row.items():
            yield f"by_budget/{name}", float(value), row["budget"]
    for stage, history in record.get("histories", {}).items():
        for row in history:
            for name, value in row.items():
                if name != "step" and value is not None:
                    yield f"training/{stage}/{name}", float(value), row["step"]


def flatten(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested settings by dotted path; lists are one value."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", canonical_json(value) if isinstance(value, list) else value
