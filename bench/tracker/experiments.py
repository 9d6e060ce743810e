"""A tracker opened for a store: one writer at a time, its experiments, their runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from filelock import FileLock, Timeout

from bench.store.store import Store
from bench.tracker.connection import connected, in_one_line, tracking_uri
from bench.tracker.database import set_aside_damaged, write_hastily
from bench.tracker.moved import artifacts, follow, place
from bench.tracker.patience import SECONDS_OF_ALL, OutOfPatience

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Say = Callable[[str], None]

# No suite can have this name.
STAGES = "stages of all suites"
# Of a run that goes on: the folder in `work/` of whoever writes it.
DRIVER = "driver"


@contextmanager
def opened(
    store: Store, uri: str, *, say: Say, abandoned: threading.Event | None = None
) -> Iterator[MlflowClient]:
    """A client of the tracker at `uri`, which no other process writes for this store meanwhile.

    Raises:
        TrackerError: the tracker is down, refuses, takes too long, or is none.
    """
    with in_one_line(uri), alone(store):
        set_aside_damaged(store)
    if uri == tracking_uri(store):
        write_hastily(store.root / "mlflow.db")
    with connected(uri, abandoned=abandoned) as client, alone(store):
        if uri == tracking_uri(store) and follow(store):
            say(f"MLflow: the store was moved; {uri} now names its artifacts under {store.root}")
        yield client


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """While no other process does this for the store; for so long nobody waits without end."""
    try:
        with store.locked("mlflow", seconds=SECONDS_OF_ALL):
            yield
    except Timeout:
        raise OutOfPatience("another adatok-bench is at it on this store") from None


def experiment_of(client: MlflowClient, name: str, store: Store, uri: str, say: Say) -> str:
    """The id of an experiment, which is made, or restored where it was deleted."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = f"{artifacts(store)}/{quote(name)}" if uri.startswith("sqlite:") else None
        return str(client.create_experiment(name, location))
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
        say(f"MLflow: the experiment {name} was deleted there, and is restored")
    return str(experiment.experiment_id)


def runs_of(client: MlflowClient, experiment: str) -> list[Run]:
    """All runs of an experiment that are not deleted."""
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def goes_on(run: Run, store: Store, *, but: str = "") -> bool:
    """Whether somebody else than the driver `but` is at the run of this store, or of another."""
    if run.info.status != "RUNNING":
        return False
    if not is_ours(run, store):
        return True
    driver = run.data.tags.get(DRIVER)
    return driver is not None and driver != but and _lives(store, driver)


def is_ours(run: Run, store: Store) -> bool:
    """Whether the run is of this store: trackers may be shared."""
    return run.data.tags.get("store", place(store)) == place(store)


def kill_left(client: MlflowClient, runs: list[Run], store: Store, *, but: str = "") -> None:
    """Mark the suites and stages that a dead driver of this store has left running as killed."""
    for run in runs:
        left = run.info.status == "RUNNING" and run.data.tags.get("kind") in ("suite", "stage")
        if left and run.data.tags.get(DRIVER) != but and not goes_on(run, store):
            client.set_terminated(run.info.run_id, status="KILLED")


def _lives(store: Store, driver: str) -> bool:
    """Whether the process with this folder holds its lock; see `bench.run.own_folder`."""
    lock = store.root / "work" / f"{driver}.lock"
    if "/" in driver or not lock.is_file():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
