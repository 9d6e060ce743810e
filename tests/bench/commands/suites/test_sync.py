import shutil
import sys
from collections import Counter

import pytest
from mlflow import MlflowClient

from bench.commands import cli


@pytest.fixture
def stored(small_run, tmp_path):
    """A copy of a finished run's store, which has no tracking database."""
    return shutil.copytree(small_run.store.root, tmp_path / "store")


@pytest.fixture
def sync(stored, capsys, monkeypatch):
    """`sync(...)`: exit code, stdout and stderr of the command on this store."""

    def sync(*arguments):
        given = ["adatok-bench", "sync", *map(str, arguments), "--store", str(stored)]
        monkeypatch.setattr(sys, "argv", given)
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return sync


def runs(uri):
    client = MlflowClient(tracking_uri=uri)
    experiments = [e.experiment_id for e in client.search_experiments() if e.name != "Default"]
    found = {run.info.run_id: run.data for run in client.search_runs(experiments)}
    kinds = Counter(data.tags["kind"] for data in found.values())
    # All but evaluations, of what has not diverged.
    assert (kinds["suite"], kinds["stage"]) == (1, 10)
    return found


def test_rebuilds_all_suites_from_nothing_and_twice_changes_nothing(stored, sync, small_run):
    uri = f"sqlite:///{stored}/mlflow.db"
    code, out, _ = sync()
    assert (code, out) == (0, f"small: 6 cells\nMLflow: {uri}\n")
    first = runs(uri)
    assert len(first) == 6 + 1 + 10
    cells = {data.tags["cell_key"] for data in first.values() if "cell_key" in data.tags}
    assert cells == {record.cell_key for record in small_run.result.records}
    assert sync("small")[0] == 0
    assert {run: data.to_dictionary() for run, data in runs(uri).items()} == {
        run: data.to_dictionary() for run, data in first.items()
    }


def test_a_suite_may_be_given_as_a_file_and_the_tracker_elsewhere(
    stored, sync, small_run, template, tmp_path
):
    shutil.copy(template, tmp_path / "other.db")
    other = f"sqlite:///{tmp_path}/other.db"
    code, out, _ = sync(small_run.suite.path, "--tracking-uri", other)
    assert (code, out.splitlines()[-1]) == (0, f"MLflow: {other}")
    assert len(runs(other)) == 6 + 1 + 10
    assert not (stored / "mlflow.db").exists()


def test_a_tracker_that_is_down_is_one_line_and_exit_code_2(sync, monkeypatch):
    monkeypatch.setitem(
        sys.modules["bench.tracker.connection"].MLFLOW_ENVIRONMENT,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
        "0",
    )
    code, out, err = sync("--tracking-uri", "http://127.0.0.1:9")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("error: MLflow at http://127.0.0.1:9 was not updated (")


def test_records_that_are_missing_or_torn_stop_it_before_anything_is_written(stored, sync):
    code, _, err = sync("small", "smal")
    assert code == 2
    assert "records/smal" in err
    next((stored / "records" / "small").glob("*.json")).write_text("{")
    code, _, err = sync()
    assert code == 2
    assert "is not as it was written; mend it with: adatok-bench run" in err
    assert not (stored / "mlflow.db").exists()
    shutil.rmtree(stored / "records")
    assert sync()[::2] == (
        2,
        f"error: no records in {stored}; run a suite first, or give --store\n",
    )


def test_suites_are_synced_side_by_side(stored, sync, template):
    shutil.copy(template, stored / "mlflow.db")
    other = stored / "records" / "other"
    other.mkdir()
    for path in sorted((stored / "records" / "small").glob("*.json"))[:2]:
        (other / path.name).write_text(path.read_text().replace('"small"', '"other"'))
    code, out, _ = sync()
    assert code == 0
    assert out.splitlines()[:2] == ["other: 2 cells", "small: 6 cells"]
