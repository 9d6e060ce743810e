import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.store.db import utils

from bench.errors import UserError
from bench.store.store import Store
from bench.tracker.connection import connected, database_file, shown_uri, tracking_uri
from bench.tracker.database import is_whole

ODD = "odd ?#%20\n'\"é"


def test_a_store_under_any_path_keeps_its_database_inside(tmp_path, monkeypatch):
    root = tmp_path / ODD
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    uri = tracking_uri(Store(root))
    assert database_file(uri) == root / "mlflow.db"
    with monkeypatch.context() as patch:
        patch.setattr(utils, "_upgrade_db", lambda engine: 1 / 0)
        with pytest.raises(UserError, match="division"), connected(uri):
            pass
    assert not any(root.iterdir())  # Nothing half made, which MLflow could not go on in.
    with connected(uri) as client:
        artifacts = (root / "mlflow-artifacts").as_uri()
        run = client.create_run(client.create_experiment("测试", artifacts)).info
        client.log_dict(run.run_id, {"a": 1}, "a.json")
        assert [file.path for file in client.list_artifacts(run.run_id)] == ["a.json"]
    assert sorted(path.name for path in root.iterdir()) == ["mlflow-artifacts", "mlflow.db"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["elsewhere", ODD])
    assert not any((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    "given",
    [
        *("http://127.0.0.1:5000", "https://u:p@host/path", "sqlite:////a/b.db", "sqlite:///b.db"),
        "postgresql+psycopg2://u:p@host/db",
    ],
)
def test_addresses_that_mlflow_knows_stay(given):
    assert tracking_uri(Store(Path("/s")), given) == given


def test_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert tracking_uri(Store(Path("/s")), "sqlite:///~/x.db") == "sqlite:////home/me/x.db"


@pytest.mark.parametrize(
    "given",
    [
        *("", "x", "ftp://u:secret@host", "http://", "http://h:99999", "http://u:secret@h:0"),
        *("http://a b", "sqlite:///", "sqlite://", "sqlite:///a\nb", "file:///tmp/x"),
    ],
)
def test_other_addresses_are_refused_without_their_password(given):
    with pytest.raises(UserError, match="is no address of MLflow") as error:
        tracking_uri(Store(Path("/s")), given)
    assert "secret" not in str(error.value)


def test_a_file_that_cannot_be_is_refused():
    with pytest.raises(UserError, match="File name too long; give another path"):
        tracking_uri(Store(Path("/s")), f"sqlite:////{'a' * 300}/x.db")


def test_tables_that_mlflow_was_ended_in_are_no_whole_database(tmp_path):
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("create table metrics (key text)")
        assert is_whole(tmp_path / "mlflow.db")
        database.execute("create table _alembic_tmp_metrics (key text)")
    assert not is_whole(tmp_path / "mlflow.db")


def test_passwords_are_not_shown():
    assert shown_uri("at https://me:p@ss/w@host/x (no)") == "at https://***@host/x (no)"
    assert shown_uri("postgresql://h/d?user=me&password=x&b=1") == (
        "postgresql://h/d?user=me&password=***&b=1"
    )
    with pytest.raises(UserError) as error, connected("http://me:secret@127.0.0.1:1"):
        raise ValueError("http://me:secret@127.0.0.1:1 does not answer")
    assert "secret" not in str(error.value)
