import json
import shutil
import sqlite3
import sys
import time
from contextlib import closing

import pytest

from bench.commands import cli


@pytest.fixture
def run(small_run, tmp_path, capsys, monkeypatch):
    """`run(...)`: exit code and stderr of running the small suite again on a copy of its store.

    Only the tokenizer that diverges is tried again.
    """
    store = shutil.copytree(small_run.store.root, tmp_path / "store")

    def run(*arguments):
        suite = str(small_run.suite.path)
        given = ["run", suite, "--store", str(store), "--executor", "serial", *arguments]
        monkeypatch.setattr(sys, "argv", ["adatok-bench", *given])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        return code, capsys.readouterr().err

    run.store = store
    return run


def test_a_tracker_that_is_down_is_a_warning(run, monkeypatch):
    from bench.tracker import connection

    monkeypatch.setitem(connection.MLFLOW_ENVIRONMENT, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    shutil.rmtree(run.store / "records")
    code, err = run("--tracking-uri", "http://127.0.0.1:9")
    assert code == 1  # Of the cells that failed.
    (line,) = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: MLflow at http://127.0.0.1:9 was not updated (")
    assert "adatok-bench sync mirrors them later" in line
    records = list((run.store / "records" / "small").glob("*.json"))
    assert len([json.loads(path.read_text()) for path in records]) == 6
    assert not (run.store / "mlflow.db").exists()


def test_what_runs_is_watched_on_stderr(run, template, monkeypatch):
    from bench.run import watch

    asked = []
    lines = watch.lines

    def watched(say):
        asked.append(say)
        return lines(say)

    monkeypatch.setattr(watch, "lines", watched)
    shutil.copy(template, run.store / "mlflow.db")
    code, err = run()
    assert code == 1
    (begin,) = (line for line in err.splitlines() if line.startswith("to compute: "))
    assert "1 x tokenizer" in begin
    assert "warning" not in err
    assert len(asked) == 1
    # Forty steps light no tokenizer.
    (line,) = [line for line in err.splitlines() if line.startswith("on a plateau: ")]
    assert "the tokenizer of elastic" in line


def test_a_training_is_in_mlflow_while_it_runs(run, small_run, template, monkeypatch):
    from bench.store import curve
    from bench.tracker import live

    monkeypatch.setattr(live, "SECONDS_BETWEEN", 0.05)
    spec = small_run.spec("policy: seed 0", "policy")
    shutil.rmtree(run.store / spec.stage / spec.key)
    shutil.copy(template, run.store / "mlflow.db")
    shown = []
    write = curve.CurveWriter.write

    def running():
        with closing(sqlite3.connect(run.store / "mlflow.db")) as database:
            query = "select name, status from runs join metrics using (run_uuid)"
            return set(database.execute(query))

    def waits(writer, history):
        """Until MLflow has the curve so far, where it is that of the policy."""
        write(writer, history)
        until = time.monotonic() + 60
        while spec.key in str(writer.work) and not shown and time.monotonic() < until:
            shown.extend({(spec.name, "RUNNING"), ("small", "RUNNING")} & running())
            time.sleep(0.05)

    monkeypatch.setattr(curve.CurveWriter, "write", waits)
    code, err = run()
    assert (code, "warning" in err) == (1, False)
    assert (spec.name, "RUNNING") in shown
    assert "RUNNING" not in {status for _, status in running()}
    # A folder of the driver's own is gone with it.
    assert not list((run.store / "work").glob("driver-*"))


def test_a_cluster_in_the_environment_is_not_joined_and_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr(sys, "argv", ["adatok-bench", "run", str(tmp_path / "nowhere.yaml")])
    with pytest.raises(SystemExit):
        cli.main()
    first, second = capsys.readouterr().err.splitlines()
    assert first == "RAY_ADDRESS is set and not heeded: only --ray-address joins a cluster"
    assert second.startswith("error: ")
