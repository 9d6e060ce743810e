import json
import shutil
import socket
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from datetime import datetime

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from PIL import Image

from bench.store.store import Store
from bench.tracker import patience
from bench.tracker.connection import MLFLOW_ENVIRONMENT, TrackerError, tracking_uri
from bench.tracker.mirror import mirror


def test_a_run_per_cell_under_one_parent(records, mirrored):
    view = mirrored(records)
    (parent,) = view.parents
    assert set(view.cells) == {record.cell_key for record in records}
    for record in records:
        run = view.cells[record.cell_key]
        assert run.info.run_name == record.label
        tags = run.data.tags
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        assert (tags["suite"], tags["arm"]) == ("small", record.arm)
        assert (tags["label"], tags["group"]) == (record.label, record.group)
        assert (tags["seed"], tags["kind"]) == ("0", "reconstruction")
        assert (tags["status"], tags["error"]) == (record.status, record.error or "")
        assert tags["protocol"] == (record.protocol_hash or "")
        assert tags["git_commit"] == (record.provenance.git_commit or "")
    assert parent.info.run_name == "small"
    tags = parent.data.tags
    assert (tags["suite"], tags["kind"]) == ("small", "suite")
    assert (tags["cells"], tags["failed"]) == ("3", "1")
    assert tags["mlflow.note.content"] == records[0].question


def test_failed_cells_are_failed_and_nothing_is_left_running(records, mirrored):
    view = mirrored(records)
    assert view.states == {"FINISHED": 2, "FAILED": 2}
    assert view.parents[0].info.status == "FAILED"
    assert view.cells[records[2].cell_key].info.status == "FAILED"
    assert "DivergedError" in view.cells[records[2].cell_key].data.tags["error"]


def test_a_suite_without_failures_is_finished(records, mirrored):
    assert mirrored(records[:2]).states == {"FINISHED": 3}


def test_cells_that_were_stopped_early_are_no_failures(records, mirrored, vary_record):
    words = "tokenizer: stopped early at step 20 of 40"
    stopped = vary_record(records[2], status="stopped", error=words)
    view = mirrored([*records[:2], stopped])
    assert view.states == {"FINISHED": 3, "KILLED": 1}
    tags = view.cells[stopped.cell_key].data.tags
    assert (tags["status"], tags["error"]) == ("stopped", words)
    assert view.parents[0].data.tags["failed"] == "0"


def test_every_number_of_a_record_is_a_metric(records, mirrored):
    view = mirrored(records)
    record = records[1]
    run = view.cells[record.cell_key]
    metrics = run.data.metrics
    for name, value in record.metrics.root.items():
        assert metrics[name] == pytest.approx(float(value))
    for control, values in record.controls.items():
        for name, value in values.root.items():
            assert metrics[f"control/{control}/{name}"] == pytest.approx(value)
    for stage in ("tokenizer", "policy"):
        history = record.histories[stage]
        for name in history[0].values:
            points = view.points(view.stage(record, stage), f"training/{name}")
            assert [step for step, _ in points] == [row.step for row in history]
            values = [row.value(name) for row in history]
            assert [value for _, value in points] == pytest.approx(values)
    elastic = view.cells[records[0].cell_key]
    points = view.points(elastic, "by_budget/mse")
    assert points == [(row.budget, pytest.approx(row.value("mse"))) for row in records[0].curve]


def test_the_record_and_its_settings_are_kept(records, mirrored, tmp_path):
    view = mirrored(records)
    run = view.cells[records[1].cell_key]
    assert view.artifacts(run) == ["record.json", "settings.yaml", "stages.json"]
    plain = records[1].plain() | {"histories": {}}  # They are curves of the stages' runs.
    for name, expected in (("record.json", plain), ("settings.yaml", plain["settings"])):
        with open(view.artifact(run, name, tmp_path)) as file:
            assert yaml.safe_load(file) == expected


def test_parameters_name_the_cell_and_what_sets_it_apart(records, mirrored):
    view = mirrored(records)
    parameters = view.cells[records[1].cell_key].data.params
    assert parameters["arm"] == "policy"
    assert parameters["group"] == "policy"
    assert parameters["policy.weighting.mean_budget"] == "2.0"
    assert parameters["tokenizer.budgets"] == "[1,2,4]"
    assert "training.batch" not in parameters
    # The diverged cell has another one.
    assert parameters["training.learning_rate"] == "0.01"


def test_a_table_by_budget(records, mirrored, tmp_path):
    view = mirrored(records)
    run = view.cells[records[0].cell_key]
    with open(view.artifact(run, "by_budget.json", tmp_path)) as file:
        table = json.load(file)
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [row["budget"] for row in rows] == [1, 2, 4]
    assert [row["mse"] for row in rows] == pytest.approx(
        [row.value("mse") for row in records[0].curve]
    )


def test_mirroring_twice_changes_nothing(records, mirrored):
    first = mirrored(records)
    before, points = first.ids(), first.all_points()
    second = mirrored(records)
    assert second.ids() == before
    assert second.all_points() == points
    assert [p.info.run_id for p in second.parents] == [p.info.run_id for p in first.parents]
    assert second.states == first.states


def test_a_rerun_on_another_commit_changes_nothing(records, mirrored, vary_record):
    """A record without new results is the same record, whoever wrote it."""
    before = mirrored(records).ids()
    elsewhere = {**records[0].provenance.plain(), "git_commit": "another"}
    assert mirrored([vary_record(one, provenance=elsewhere) for one in records]).ids() == before


def test_a_changed_record_replaces_its_run_alone(records, mirrored, vary_record):
    before = mirrored(records).ids()
    view = mirrored([vary_record(records[0], metrics={"mse": 0.125}), *records[1:]])
    key = records[0].cell_key
    assert view.ids()[key] != before[key]
    assert {k: v for k, v in view.ids().items() if k != key} == {
        k: v for k, v in before.items() if k != key
    }
    assert view.points(view.cells[key], "mse") == [(0, 0.125)]


def test_a_cell_that_succeeds_at_last_is_finished(records, mirrored, vary_record):
    mirrored(records)
    failed = records[2]
    done = vary_record(records[0], cell_key=failed.cell_key, label=failed.label)
    view = mirrored([*records[:2], done])
    assert view.states == {"FINISHED": 4}
    assert view.cells[failed.cell_key].data.tags["error"] == ""


def test_a_suite_that_grows_keeps_the_runs_it_has(records, mirrored):
    before = mirrored(records[:2])
    view = mirrored(records)
    assert {k: view.ids()[k] for k in before.ids()} == before.ids()
    newest = view.cells[records[2].cell_key].data.tags["mlflow.parentRunId"]
    for run in view.cells.values():
        assert run.data.tags["mlflow.parentRunId"] == newest
    assert "RUNNING" not in view.states


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", ["log_batch", "log_artifacts", "set_terminated"])
def test_a_half_written_run_is_replaced(records, mirrored, store, view, monkeypatch, moment):
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
            mirror(records, store, uri=tracking_uri(store))
    left = view()  # The parent's, and that of the cell or of the training that it was at.
    assert left.states["RUNNING"] + left.stage_states["RUNNING"] == 2
    seen = mirrored(records)
    assert "RUNNING" not in seen.stage_states
    assert set(seen.cells) == {record.cell_key for record in records}
    assert "RUNNING" not in seen.states
    assert len(seen.parents) == 1
    for record in records[:2]:
        run = seen.cells[record.cell_key]
        assert seen.points(run, "mse") == [(0, pytest.approx(record.metrics.value("mse")))]
        stage = seen.stage(record, "tokenizer")
        steps = [step for step, _ in seen.points(stage, "training/pixel_loss")]
        assert steps == [10, 20, 30, 40]


def test_an_edited_suite_leaves_nothing_running_of_the_cells_it_lost(
    records, mirrored, store, view, monkeypatch
):
    def dies(self, *args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifacts", dies)
        with pytest.raises(Killed):
            mirror(records, store, uri=tracking_uri(store))
    assert set(view().cells) == {records[0].cell_key}
    assert view().states == {"RUNNING": 2}
    seen = mirrored(records[1:2])
    assert set(seen.cells) == {records[1].cell_key}
    assert seen.states == {"FINISHED": 2}


def test_what_another_store_is_writing_on_a_shared_tracker_is_left_alone(records, mirrored):
    view = mirrored(records[:2])
    theirs = view.cells[records[0].cell_key].info.run_id
    view.client.set_tag(theirs, "store", "elsewhere:/store")
    view.client.update_run(theirs, status="RUNNING")
    assert mirrored(records[1:2]).ids()[records[0].cell_key] == theirs


def test_a_cell_that_the_suite_has_lost_stays_as_it_was(records, mirrored):
    before = mirrored(records)
    view = mirrored(records[:2])
    assert view.ids() == before.ids()
    assert view.all_points() == before.all_points()
    assert view.parents[0].info.status == "FINISHED"


def test_runs_that_are_there_twice_become_one(records, mirrored):
    view = mirrored(records[:2])
    key = records[0].cell_key
    first, (parent,) = view.cells[key], view.parents
    for tags in ({"cell_key": key, "record": first.data.tags["record"]}, {"suite_key": "older"}):
        run = view.client.create_run(first.info.experiment_id, tags=tags)
        view.client.set_terminated(run.info.run_id)
    view = mirrored(records[:2])
    assert view.states == {"FINISHED": 3}
    assert [run.info.run_id for run in view.parents] == [parent.info.run_id]


def test_a_run_of_somebody_else_in_the_experiment_is_left_alone(records, mirrored):
    view = mirrored(records[:1])
    run = view.client.create_run(view.parents[0].info.experiment_id, run_name="mine")
    view = mirrored(records[:1])
    assert run.info.run_id in [parent.info.run_id for parent in view.parents]
    assert view.states == {"FINISHED": 2, "RUNNING": 1}


def test_a_setting_that_begins_to_vary_becomes_a_parameter_of_all(records, mirrored):
    view = mirrored(records[:2])
    key = records[0].cell_key
    before = view.ids()[key]
    assert "training.learning_rate" not in view.cells[key].data.params
    view = mirrored(records)
    assert view.ids()[key] == before
    assert view.cells[key].data.params["training.learning_rate"] == "0.01"


def test_a_run_lasts_as_long_as_its_stages_did(small_run, records, template, tmp_path, view):
    """In a store that still has them; in another the time of the mirroring must do."""
    root = shutil.copytree(small_run.store.root, tmp_path / "store", dirs_exist_ok=True)
    shutil.copy(template, root / "mlflow.db")
    record = records[1]
    mirror([record], Store(root), uri=tracking_uri(Store(root)))
    run = view().cells[record.cell_key]
    times = [
        datetime.fromisoformat(json.loads(path.read_text())["attempts"][0]).timestamp()
        for path in (root / stage.stage / stage.key / "stage.json" for stage in record.stages)
    ]
    assert run.info.start_time == 1000 * min(times)
    assert run.info.end_time >= 1000 * (max(times) + record.stages[-1].seconds) - 1
    assert run.data.metrics["system/evaluation/resident_memory_bytes"] > 1 << 20
    stage = view().stage(record, "tokenizer")
    assert stage.data.metrics["system/resident_memory_bytes"] > 1 << 20
    assert stage.data.metrics["system/seconds"] == pytest.approx(
        next(s.seconds for s in record.stages if s.stage == "tokenizer")
    )


def test_what_is_not_a_number_is_no_metric(records, mirrored, vary_record):
    record = vary_record(records[1], metrics={"allocation_skill": None, "fd_lite0": None})
    view = mirrored([record])
    metrics = view.cells[record.cell_key].data.metrics
    assert not {"allocation_skill", "fd_lite0"} & set(metrics)
    assert metrics["collapsed"] in (0.0, 1.0)


def test_long_labels_and_many_metrics_are_logged(records, mirrored, vary_record):
    rows = [{"step": step, "pixel_loss": 1 / step} for step in range(1, 2501)]
    record = vary_record(records[0], label="x" * 600, histories={"tokenizer": rows})
    view = mirrored([record])
    run = view.cells[record.cell_key]
    assert len(view.points(view.stage(record, "tokenizer"), "training/pixel_loss")) == 2500
    assert run.info.run_name == "x" * 250


def test_files_of_reports_belong_to_the_parent(records, mirrored, store, monkeypatch):
    folder = store.root / "reports" / "small"
    folder.mkdir(parents=True)
    (folder / "pareto.png").write_bytes(b"png")
    logged = []
    log_artifacts = MlflowClient.log_artifacts

    def count(self, *arguments):
        logged.extend([arguments] * (arguments[2:] == ("reports",)))
        log_artifacts(self, *arguments)

    monkeypatch.setattr(MlflowClient, "log_artifacts", count)
    for _ in range(2):
        view = mirrored(records[:1])
    (parent,) = view.parents
    files = view.client.list_artifacts(parent.info.run_id, "reports")
    assert [file.path for file in files] == ["reports/pareto.png"]
    assert len(logged) == 1
    (folder / "pareto.png").write_bytes(b"another")
    mirrored(records[:1])
    assert len(logged) == 2


def test_a_gallery_is_one_sheet(records, mirrored, store, tmp_path, vary_record):
    record = vary_record(records[0], gallery="evaluation/x")
    view = mirrored([record])
    run = view.cells[record.cell_key]
    assert "gallery.png" not in view.artifacts(run)  # The store has none.
    folder = store.work("evaluation", "x")
    folder.mkdir(parents=True)
    np.save(folder / "gallery.npy", np.zeros((2, 3, 32, 32, 3), np.uint8))
    about = {"columns": ["original", "2", "4"], "rows": 2 * [{"tokens": [None, 2, 4]}]}
    (folder / "gallery.json").write_text(json.dumps(about))
    store.publish("evaluation", "x", {})
    record = vary_record(record, metrics={"mse": 0.5})
    view = mirrored([record])
    run = view.cells[record.cell_key]
    with Image.open(view.artifact(run, "gallery.png", tmp_path)) as sheet:
        assert sheet.width > 3 * 64


def test_artifacts_and_database_lie_in_the_store(records, mirrored, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mirrored(records[:1])
    assert tracking_uri(store) == f"sqlite:///{store.root}/mlflow.db"
    assert list((store.root / "mlflow-artifacts").rglob("record.json"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store"]


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


def test_the_template_is_a_real_database(template):
    with sqlite3.connect(template) as connection:
        tables = {row[0] for row in connection.execute("select name from sqlite_master")}
    connection.close()
    assert {"runs", "metrics", "params", "tags"} <= tables


def test_generations_and_throughputs_are_mirrored_too(generation_run, store, view):
    made = [generation_run.record(label) for label in ("adaptive", "trained speed")]
    mirror(made, store, uri=tracking_uri(store))
    seen = view("generation")
    generation, throughput = (seen.cells[record.cell_key] for record in made)
    assert generation.data.tags["kind"] == "generation"
    assert generation.data.metrics["gfd_lite0"] == made[0].metrics.value("gfd_lite0")
    rows = [(row.tokens, row.value("gfd_lite0")) for row in made[0].generation.by_length]
    assert seen.points(generation, "by_length/gfd_lite0") == rows
    assert {"by_length.json", "by_class.json"} <= set(seen.artifacts(generation))
    assert throughput.data.tags["kind"] == "throughput"
    fixed = made[1].generation_speed.rows[0]
    place = f"throughput/{fixed.arm}/{fixed.mode}/images_per_second"
    assert seen.points(throughput, place) == [(fixed.batch, fixed.images_per_second.median)]
    assert "throughput.json" in seen.artifacts(throughput)


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
