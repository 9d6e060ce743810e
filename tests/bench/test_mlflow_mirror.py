import copy
import json
import shutil
import sqlite3
import time
from collections import Counter

import pytest
from mlflow import MlflowClient

from bench.mlflow_mirror import MLFLOW_ENVIRONMENT, flatten, mirror, tracking_uri
from bench.store import Store

LABELS = ("elastic", "policy: seed 0", "diverged: seed 0")


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """An empty tracking database: its migration takes seconds, a copy none."""
    path = tmp_path_factory.mktemp("mlflow") / "template.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(tmp_path, template):
    store = Store.open(tmp_path / "store")
    shutil.copy(template, store.root / "mlflow.db")
    return store


@pytest.fixture
def records(small_run):
    return copy.deepcopy([small_run.record(label) for label in LABELS])


@pytest.fixture
def mirrored(store):
    """`mirrored(records)`: mirrors them, and fails on a warning."""

    def mirrored(records, figures=()):
        said = []
        mirror(records, store, uri=tracking_uri(store), figures=list(figures), say=said.append)
        assert said == []
        return View(store)

    return mirrored


class View:
    """What a reader of the tracking database sees."""

    def __init__(self, store):
        self.client = MlflowClient(tracking_uri=tracking_uri(store))
        experiment = self.client.get_experiment_by_name("small")
        runs = self.client.search_runs([experiment.experiment_id])
        self.cells = {run.data.tags["cell_key"]: run for run in runs if "cell_key" in run.data.tags}
        self.parents = [run for run in runs if "cell_key" not in run.data.tags]
        assert len(self.cells) + len(self.parents) == len(runs)
        self.states = Counter(run.info.status for run in runs)

    def points(self, run, name):
        history = self.client.get_metric_history(run.info.run_id, name)
        return [(point.step, point.value) for point in history]

    def all_points(self):
        return {
            (key, name): self.points(run, name)
            for key, run in self.cells.items()
            for name in run.data.metrics
        }

    def ids(self):
        return {key: run.info.run_id for key, run in self.cells.items()}


def test_a_run_per_cell_under_one_parent(records, mirrored):
    view = mirrored(records)
    (parent,) = view.parents
    assert set(view.cells) == {record["cell_key"] for record in records}
    for record in records:
        run = view.cells[record["cell_key"]]
        assert run.info.run_name == record["label"]
        tags = run.data.tags
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        assert (tags["suite"], tags["arm"]) == ("small", record["arm"])
        assert (tags["status"], tags["error"]) == (record["status"], record["error"] or "")
        assert tags["protocol"] == record.get("protocol_hash", "")
        assert tags["git_commit"] == (record["provenance"]["git_commit"] or "")
    assert parent.info.run_name == "small"


def test_failed_cells_are_failed_and_nothing_is_left_running(records, mirrored):
    view = mirrored(records)
    assert view.states == {"FINISHED": 2, "FAILED": 2}
    assert view.parents[0].info.status == "FAILED"
    assert view.cells[records[2]["cell_key"]].info.status == "FAILED"
    assert "DivergedError" in view.cells[records[2]["cell_key"]].data.tags["error"]


def test_a_suite_without_failures_is_finished(records, mirrored):
    assert mirrored(records[:2]).states == {"FINISHED": 3}


def test_every_number_of_a_record_is_a_metric(records, mirrored):
    view = mirrored(records)
    record = records[1]
    run = view.cells[record["cell_key"]]
    metrics = run.data.metrics
    for name, value in record["metrics"].items():
        assert metrics[name] == pytest.approx(float(value))
    for control, values in record["controls"].items():
        for name, value in values.items():
            assert metrics[f"control/{control}/{name}"] == pytest.approx(value)
    for stage in ("tokenizer", "policy"):
        history = record["histories"][stage]
        for name in history[0]:
            if name != "step":
                points = view.points(run, f"training/{stage}/{name}")
                assert [step for step, _ in points] == [row["step"] for row in history]
                assert [value for _, value in points] == pytest.approx(
                    [row[name] for row in history]
                )
    elastic = view.cells[records[0]["cell_key"]]
    points = view.points(elastic, "by_budget/mse")
    assert points == [(row["budget"], pytest.approx(row["mse"])) for row in records[0]["curve"]]


def test_settings_are_parameters_and_the_record_is_kept(records, mirrored, tmp_path):
    view = mirrored(records)
    record = records[1]
    run = view.cells[record["cell_key"]]
    assert run.data.params["policy.weighting.mean_budget"] == "2.0"
    assert run.data.params["tokenizer.budgets"] == "[1,2,4]"
    assert run.data.params["bank.inception_weights"] == "None"
    assert run.data.params == {k: str(v)[:500] for k, v in flatten(record["settings"])}
    for name, expected in (("record.json", record), ("settings.json", record["settings"])):
        path = view.client.download_artifacts(run.info.run_id, name, str(tmp_path))
        with open(path) as file:
            assert json.load(file) == json.loads(json.dumps(expected))


def test_mirroring_twice_changes_nothing(records, mirrored):
    first = mirrored(records)
    before, points = first.ids(), first.all_points()
    second = mirrored(records)
    assert second.ids() == before
    assert second.all_points() == points
    assert [p.info.run_id for p in second.parents] == [p.info.run_id for p in first.parents]
    assert second.states == first.states


def test_a_rerun_on_another_commit_changes_nothing(records, mirrored):
    """A record without new results is the same record, whoever wrote it."""
    before = mirrored(records).ids()
    for record in records:
        record["provenance"] = {**record["provenance"], "git_commit": "another"}
    assert mirrored(records).ids() == before


def test_a_changed_record_replaces_its_run_alone(records, mirrored):
    before = mirrored(records).ids()
    changed = records[0]
    changed["metrics"]["mse"] = 0.125
    view = mirrored(records)
    key = changed["cell_key"]
    assert view.ids()[key] != before[key]
    assert {k: v for k, v in view.ids().items() if k != key} == {
        k: v for k, v in before.items() if k != key
    }
    assert view.points(view.cells[key], "mse") == [(0, 0.125)]


def test_a_cell_that_succeeds_at_last_is_finished(records, mirrored):
    mirrored(records)
    failed = records[2]
    records[2] = {**records[0], "cell_key": failed["cell_key"], "label": failed["label"]}
    view = mirrored(records)
    assert view.states == {"FINISHED": 4}
    assert view.cells[failed["cell_key"]].data.tags["error"] == ""


def test_a_suite_that_grows_keeps_the_runs_it_has(records, mirrored):
    before = mirrored(records[:2])
    view = mirrored(records)
    assert {k: view.ids()[k] for k in before.ids()} == before.ids()
    newest = view.cells[records[2]["cell_key"]].data.tags["mlflow.parentRunId"]
    for run in view.cells.values():
        assert run.data.tags["mlflow.parentRunId"] == newest
    assert "RUNNING" not in view.states


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", ["log_batch", "log_dict", "set_terminated"])
def test_a_half_written_run_is_replaced(records, mirrored, store, monkeypatch, moment):
    calls = []
    method = getattr(MlflowClient, moment)

    def dies(self, *args, **kwargs):
        calls.append(moment)
        if len(calls) == 2:
            raise Killed
        return method(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, moment, dies)
        with pytest.raises(Killed):
            mirror(records, store, uri=tracking_uri(store), figures=[], say=print)
    assert View(store).states["RUNNING"] == 2  # the cell's and the parent's
    view = mirrored(records)
    assert set(view.cells) == {record["cell_key"] for record in records}
    assert "RUNNING" not in view.states
    assert len(view.parents) == 1
    for record in records[:2]:
        run = view.cells[record["cell_key"]]
        assert view.points(run, "mse") == [(0, pytest.approx(record["metrics"]["mse"]))]
        steps = [step for step, _ in view.points(run, "training/tokenizer/pixel_loss")]
        assert steps == [10, 20, 30, 40]


def test_what_is_not_a_number_is_no_metric(records, mirrored):
    record = records[1]
    record["metrics"] |= {"allocation_skill": None, "fd_lite0": None}
    view = mirrored([record])
    metrics = view.cells[record["cell_key"]].data.metrics
    assert not {"allocation_skill", "fd_lite0"} & set(metrics)
    assert metrics["collapsed"] in (0.0, 1.0)


def test_long_values_and_many_metrics_are_logged(records, mirrored, monkeypatch):
    record = records[0]
    record["settings"]["tokenizer"]["budgets"] = list(range(1, 400))
    record["label"] = "x" * 600
    record["histories"] = {
        "tokenizer": [{"step": step, "pixel_loss": 1 / step} for step in range(1, 2501)]
    }
    view = mirrored([record])
    run = view.cells[record["cell_key"]]
    assert len(view.points(run, "training/tokenizer/pixel_loss")) == 2500
    assert run.data.params["tokenizer.budgets"].startswith("[1,2,3")
    assert run.info.run_name == "x" * 250


def test_figures_belong_to_the_parent(records, mirrored, tmp_path):
    figure = tmp_path / "pareto.png"
    figure.write_bytes(b"png")
    view = mirrored(records[:1], figures=[figure])
    (parent,) = view.parents
    assert [f.path for f in view.client.list_artifacts(parent.info.run_id)] == ["pareto.png"]


def test_artifacts_and_database_lie_in_the_store(records, mirrored, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mirrored(records[:1])
    assert tracking_uri(store) == f"sqlite:///{store.root}/mlflow.db"
    assert list((store.root / "mlflow-artifacts").rglob("record.json"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store"]


def warned(records, store, uri):
    said = []
    began = time.monotonic()
    mirror(records, store, uri=uri, figures=[], say=said.append)
    assert time.monotonic() - began < 30
    (line,) = said
    assert "\n" not in line
    assert line.startswith(f"warning: MLflow at {uri} was not updated (")
    return line


def test_a_server_that_is_down_costs_a_warning(records, store):
    before = copy.deepcopy(records)
    warned(records, store, "http://127.0.0.1:9")
    assert records == before
    assert all(MLFLOW_ENVIRONMENT.values())


def test_a_database_that_is_none_costs_a_warning_and_can_be_made_up_for(
    records, store, mirrored, template
):
    (store.root / "mlflow.db").write_text("not a database, and long enough to be noticed" * 100)
    warned(records, store, tracking_uri(store))
    shutil.copy(template, store.root / "mlflow.db")
    assert set(mirrored(records).cells) == {record["cell_key"] for record in records}


def test_the_template_is_a_real_database(template):
    with sqlite3.connect(template) as connection:
        tables = {row[0] for row in connection.execute("select name from sqlite_master")}
    connection.close()
    assert {"runs", "metrics", "params", "tags"} <= tables


def test_flatten_gives_leaves_by_dotted_path():
    settings = {"a": {"b": 1, "c": {"d": [1, 2]}}, "e": None}
    assert dict(flatten(settings)) == {"a.b": 1, "a.c.d": "[1,2]", "e": None}
