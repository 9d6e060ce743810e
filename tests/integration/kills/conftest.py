"""Runs that are killed, ended, repeated or doubled; each file has a like share of the time."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

TIMING = {"seconds", "throughput", "stages", "provenance", "policy_time_share"}


@pytest.fixture
def long(tiny):
    """The tiny suite with trainings that take long enough to be hit."""
    tiny["base"]["training"]["steps"] = 300
    return tiny


@pytest.fixture
def undisturbed(finish, long):
    """Records of the long suite where nothing happens to it: neither drawn nor mirrored."""
    return _records_of(finish(long).store.root)


@pytest.fixture
def records_of():
    """`records_of(store)`: records by file, without what was timed."""
    return _records_of


def _records_of(store):
    return {
        path.name: _without_timing(json.loads(path.read_text()))
        for path in (store / "records" / "tiny").glob("*.json")
    }


def _without_timing(value):
    if isinstance(value, dict):
        return {
            name: _without_timing(item)
            for name, item in value.items()
            if name not in TIMING and not name.endswith("images_per_second")
        }
    if isinstance(value, list):
        return [_without_timing(item) for item in value]
    return value


@pytest.fixture
def wait_for():
    """`wait_for(condition, process)`: fails where the process ends before."""
    return _wait_for


def _wait_for(condition, process, *, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.log.read_text()
        assert time.monotonic() < deadline, process.log.read_text()
        time.sleep(0.05)


@pytest.fixture
def kill_tree():
    """`kill_tree(pid)`: all of it at once."""
    return _kill_tree


def _kill_tree(root):
    """Kill a process and all below it at once, as a power cut does: its workers finish nothing."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # It ended meanwhile.
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
            parents[int(fields["Pid"])] = int(fields["PPid"])
    below = {root}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    for pid in below:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def below():
    """`below(pid, start)`: processes below one whose names begin so."""
    return _below


def _below(root, start):
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(root).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name().startswith(start):
                    yield process


@pytest.fixture
def stage_files():
    """`stage_files(store)`: when each artifact was described."""
    return _stage_files


def _stage_files(store):
    return {path: path.stat().st_mtime_ns for path in store.glob("*/*/stage.json")}


@pytest.fixture
def mlflow_runs():
    """`mlflow_runs(store)`: the runs of the experiment."""
    return _mlflow_runs


def _mlflow_runs(store):
    client = MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    return client.search_runs([experiment.experiment_id])
