import json
import shutil
import sqlite3
from datetime import datetime

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from PIL import Image

from bench.store.store import Store
from bench.tracker.connection import tracking_uri
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
