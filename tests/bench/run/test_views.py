import json
import shutil
import sqlite3

import pytest
from mlflow import MlflowClient

from bench.run import views
from bench.run.runner import RunResult
from bench.run.views import code_digest, show_in_mlflow, show_reports
from bench.store.store import Store
from bench.tracker import connection
from bench.tracker.connection import TrackerError, tracking_uri


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "store")


@pytest.fixture
def result(small_run, store):
    """Two finished cells of the small suite, with their records in a store of their own."""
    records = [small_run.record(label) for label in ("elastic", "policy: seed 0")]
    folder = store.root / "records" / "small"
    folder.mkdir(parents=True)
    found = [path for path in small_run.result.paths if path.stem in str(records)]
    return RunResult(records, [shutil.copy(path, folder / path.name) for path in found], 0)


@pytest.fixture
def summary(store, result, monkeypatch):
    """`summary()`: shows the report `summary`; whether it was made anew."""
    made, render = [], views.render_reports
    monkeypatch.setattr(
        views, "render_reports", lambda *given, **more: made.append(0) or render(*given, **more)
    )

    def summary():
        made.clear()
        (report,) = show_reports("small", ("summary",), result, store)
        (path,) = report.files
        assert path == store.root / "reports" / "small" / "summary.txt"
        assert path.read_text() == report.text
        return bool(made)

    return summary


def test_a_report_is_made_once(summary):
    assert [summary(), summary(), summary()] == [True, False, False]


def test_a_report_follows_records_code_and_its_own_files(summary, store, result, monkeypatch):
    summary()
    record = json.loads(result.paths[0].read_text())
    result.paths[0].write_text(json.dumps({**record, "arm": "renamed"}))
    assert summary()
    assert not summary()
    with monkeypatch.context() as patch:
        patch.setattr(views, "code_digest", lambda: "other code")
        assert summary()
    assert summary()
    file = store.root / "reports" / "small" / "summary.txt"
    for spoil in (file.unlink, lambda: file.write_text("edited")):
        spoil()
        assert summary()
    (store.root / "views" / "small.reports.json").write_text("{torn")
    assert summary()


def test_the_code_of_views_is_all_of_ours_and_of_plugins(tmp_path, monkeypatch):
    before = code_digest.__wrapped__()
    assert code_digest.__wrapped__() == before
    about = tmp_path / "drawn-1.0.dist-info"
    about.mkdir()
    (tmp_path / "drawn.py").write_text("colour = 1\n")
    (about / "entry_points.txt").write_text("[adatok_bench.reports]\ndrawn = drawn:report\n")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: drawn\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    installed = code_digest.__wrapped__()
    (tmp_path / "drawn.py").write_text("colour = 2\n")
    assert len({before, installed, again := code_digest.__wrapped__()}) == 3
    inner = tmp_path / "site-packages" / "ray" / "thirdparty_files"
    (inner / "psutil-1.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(inner)  # As importing Ray does.
    assert code_digest.__wrapped__() == again


def test_mlflow_is_asked_only_where_something_changed(store, result, template):
    uri = tracking_uri(store)
    database = store.root / "mlflow.db"
    shutil.copy(template, database)

    def shown():
        """Whether the database was written."""
        before = database.stat().st_mtime_ns
        show_in_mlflow("small", result, store, uri=uri)
        return database.stat().st_mtime_ns != before

    def cells():
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("small").experiment_id
        return sum("cell_key" in run.data.tags for run in client.search_runs([experiment]))

    assert [shown(), shown()] == [True, False]
    assert cells() == 2
    with sqlite3.connect(database) as connection:
        connection.execute("update runs set lifecycle_stage = 'deleted'")
    assert cells() == 0
    assert [shown(), shown()] == [True, False]
    assert cells() == 2
    report = store.root / "reports" / "small" / "new.txt"
    report.parent.mkdir(parents=True)
    report.write_text("a new report")
    assert shown()
    result.paths[0].write_text(result.paths[0].read_text() + "\n")
    assert [shown(), shown()] == [True, False]
    (store.root / "views" / "small.mlflow.json").unlink()
    assert shown()


def test_a_server_is_always_asked(store, result, monkeypatch):
    monkeypatch.setitem(connection.MLFLOW_ENVIRONMENT, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for _ in range(2):
        with pytest.raises(TrackerError):
            show_in_mlflow("small", result, store, uri="http://127.0.0.1:9")
    assert not (store.root / "views").exists()
