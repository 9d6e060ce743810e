import shutil
import socket
import threading
from collections import Counter
from contextlib import suppress

import pytest
from mlflow import MlflowClient

from bench.store.store import Store
from bench.tracker.connection import tracking_uri
from bench.tracker.experiments import STAGES
from bench.tracker.mirror import mirror

LABELS = ("elastic", "policy: seed 0", "diverged: seed 0")


@pytest.fixture
def store(tmp_path, template):
    store = Store.open(tmp_path / "store")
    shutil.copy(template, store.root / "mlflow.db")
    return store


@pytest.fixture
def records(small_run):
    return [small_run.record(label) for label in LABELS]


@pytest.fixture
def mirrored(store):
    """`mirrored(records)`: mirrors them; what a reader sees then."""

    def mirrored(records):
        mirror(records, store, uri=tracking_uri(store))
        return View(store)

    return mirrored


class View:
    """What a reader of the tracking database sees."""

    def __init__(self, store, suite="small"):
        self.client = MlflowClient(tracking_uri=tracking_uri(store))
        experiment = self.client.get_experiment_by_name(suite)
        runs = self.client.search_runs([experiment.experiment_id])
        self.cells = {run.data.tags["cell_key"]: run for run in runs if "cell_key" in run.data.tags}
        self.parents = [run for run in runs if "cell_key" not in run.data.tags]
        assert len(self.cells) + len(self.parents) == len(runs)
        shared = self.client.get_experiment_by_name(STAGES)
        found = self.client.search_runs([shared.experiment_id]) if shared else []
        self.stages = {run.data.tags["stage_key"]: run for run in found}
        assert len(self.stages) == len(found)
        self.stage_states = Counter(run.info.status for run in found)
        self.states = Counter(run.info.status for run in runs)

    def stage(self, record, training):
        """The run of a training of a record, by the link that its cell has."""
        run_id = self.cells[record.cell_key].data.tags[f"training/{training}"]
        return self.client.get_run(run_id)

    def points(self, run, name):
        history = self.client.get_metric_history(run.info.run_id, name)
        return [(point.step, point.value) for point in history]

    def all_points(self):
        return {
            (key, name): self.points(run, name)
            for key, run in [*self.cells.items(), *self.stages.items()]
            for name in run.data.metrics
        }

    def ids(self):
        return {key: run.info.run_id for key, run in self.cells.items()}

    def artifacts(self, run):
        return sorted(file.path for file in self.client.list_artifacts(run.info.run_id))

    def artifact(self, run, name, folder):
        return self.client.download_artifacts(run.info.run_id, name, str(folder))


@pytest.fixture
def view(store):
    """`view()`, `view(suite)`: what a reader sees now."""
    return lambda *suite: View(store, *suite)


class Silent:
    """A server that takes requests and never answers."""

    def __init__(self, server):
        self.uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        self.asked = threading.Event()
        self.kept = []

    def serve(self, server):
        with suppress(OSError):
            while True:
                self.kept.append(server.accept()[0])
                self.asked.set()


@pytest.fixture
def silent():
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = Silent(server)
        thread = threading.Thread(target=one.serve, args=(server,))
        thread.start()
        yield one
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in one.kept:
            connection.close()
    for thread in threading.enumerate():
        if thread.name == "MLflow":
            thread.join(30)
