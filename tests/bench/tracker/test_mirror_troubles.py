import shutil
import socket
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress

import pytest
import yaml

from bench.store.store import Store
from bench.tracker import patience
from bench.tracker.connection import MLFLOW_ENVIRONMENT, TrackerError, tracking_uri
from bench.tracker.mirror import mirror


def refused(records, store, uri):
    began = time.monotonic()
    with pytest.raises(TrackerError) as error:
        mirror(records, store, uri=uri)
    assert time.monotonic() - began < 30
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"MLflow at {uri} was not updated (")


def test_a_server_that_is_down_is_one_line(records, store):
    before = [record.plain() for record in records]
    refused(records, store, "http://127.0.0.1:9")
    assert [record.plain() for record in records] == before
    assert all(MLFLOW_ENVIRONMENT.values())


def test_a_database_that_is_none_is_set_aside_and_written_anew(records, store, mirrored, capsys):
    foreign = "not a database, and long enough to be noticed" * 100
    (store.root / "mlflow.db").write_text(foreign)
    assert set(mirrored(records).cells) == {record.cell_key for record in records}
    (aside,) = (store.root / "damaged").iterdir()
    assert aside.read_text() == foreign
    assert f"mlflow.db is damaged; set aside in {aside}" in capsys.readouterr().err


def test_a_deleted_experiment_is_restored_and_said(records, mirrored, store):
    view = mirrored(records[:2])
    before = view.ids()
    experiment = view.client.get_experiment_by_name("small")
    view.client.delete_experiment(experiment.experiment_id)
    said = []
    mirror(records[:2], store, uri=tracking_uri(store), say=said.append)
    assert said == ["MLflow: the experiment small was deleted there, and is restored"]
    assert mirrored(records[:2]).ids() == before


def test_artifacts_of_a_moved_store_open_again(records, mirrored, store, tmp_path):
    first = mirrored(records[:2])
    moved = Store(store.root.rename(tmp_path / "moved # to"))
    said = []
    mirror(records[:2], moved, uri=tracking_uri(moved), say=said.append)
    (line,) = said
    assert str(moved.root) in line
    view = type(first)(moved)
    assert view.ids() == first.ids()
    for run in [*view.cells.values(), *view.parents]:
        assert run.data.tags["store"].endswith(f":{moved.root}")
    run = view.cells[records[0].cell_key]
    with open(view.artifact(run, "record.json", tmp_path)) as file:
        assert yaml.safe_load(file)["metrics"] == records[0].plain()["metrics"]
    mirror(records[:2], moved, uri=tracking_uri(moved), say=pytest.fail)


def test_a_run_whose_artifacts_are_gone_is_written_again(records, mirrored, store):
    before = mirrored(records[:2]).ids()
    shutil.rmtree(store.root / "mlflow-artifacts" / "small" / before[records[0].cell_key])
    after = mirrored(records[:2])
    changed = {key for key, run in after.ids().items() if run != before[key]}
    assert changed == {records[0].cell_key}
    assert "record.json" in after.artifacts(after.cells[records[0].cell_key])


@contextmanager
def dripping():
    """The address of a server that sends a byte now and then, and never ends."""
    stop = threading.Event()

    def serve(connection):
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not stop.wait(0.05):
                connection.sendall(b" ")

    def listen():
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=serve, args=(server.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threads = [threading.Thread(target=listen)]
        threads[0].start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        stop.set()
        server.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def test_a_server_that_drips_is_given_up(records, store, monkeypatch):
    monkeypatch.setattr(patience, "SECONDS", 0.5)
    monkeypatch.setattr(patience, "SECONDS_OF_ALL", 0.5)
    gives_up = pytest.raises(TrackerError, match=r"was not updated \(no answer within 1 s\)$")
    with dripping() as uri, gives_up:
        mirror(records, store, uri=uri)
    for thread in threading.enumerate():
        if thread.name == "MLflow":
            thread.join(30)


def test_what_others_hold_is_waited_for_in_vain_and_said(records, store, monkeypatch):
    monkeypatch.setattr("bench.tracker.experiments.SECONDS_OF_ALL", 0.1)
    with store.locked("mlflow"):
        answers = []

        def wait_in_vain():
            with pytest.raises(TrackerError) as error:
                mirror(records, store, uri=tracking_uri(store))
            answers.append(str(error.value))

        other = threading.Thread(target=wait_in_vain)
        other.start()
        other.join()
    assert "another adatok-bench is at it on this store" in answers[0]
    monkeypatch.setattr("bench.tracker.moved._BUSY_SECONDS", 0.1)
    monkeypatch.setattr(patience, "SECONDS", 0.5)
    monkeypatch.setattr(patience, "SECONDS_OF_ALL", 0.5)
    with closing(sqlite3.connect(store.root / "mlflow.db", isolation_level=None)) as holder:
        holder.execute("begin exclusive")
        with pytest.raises(TrackerError, match=r"database is locked|no answer"):
            mirror(records, store, uri=tracking_uri(store))
        holder.execute("rollback")
    mirror(records[:1], store, uri=tracking_uri(store))
