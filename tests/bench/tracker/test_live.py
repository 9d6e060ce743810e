import json
import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest

from bench.run.own_folder import own_folder
from bench.search.halving import Halving
from bench.store.curve import CurveWriter
from bench.tracker import live, patience
from bench.tracker.connection import MLFLOW_ENVIRONMENT, tracking_uri
from bench.tracker.live import Live
from bench.tracker.suite_runs import DONE, OF, About

LABEL = "elastic"
FULL = """
    create trigger full before insert on metrics
    begin select raise(abort, 'database or disk is full'); end
"""


class Suite:
    """One cell of the small suite, whose tokenizer is still to come."""

    varying = frozenset()

    def __init__(self, small_run, store):
        self.record, self.store = small_run.record(LABEL), store
        self.spec = small_run.spec(LABEL, "bank/tokenizer")
        self.about = About("small", self.record.question, (self.record.cell_key,))
        self.made = small_run.store.description(self.spec.stage, self.spec.key)
        self.work = store.work(self.spec.stage, self.spec.key)
        for stage in self.record.stages:
            if stage.stage == "data":
                shutil.copytree(
                    small_run.store.artifact(stage.stage, stage.key),
                    store.artifact(stage.stage, stage.key),
                )

    @property
    def curve(self):
        return self.made["result"]["history"]

    def specs(self):
        return [self.spec]

    def total(self):
        return 3

    def records(self, seen):
        if self.record.cell_key not in seen and self.store.has(self.spec.stage, self.spec.key):
            yield self.record

    def begin(self):
        self.work.mkdir(parents=True)
        (self.work / "attempts.json").write_text(json.dumps(self.made["attempts"]))
        self.writer = CurveWriter(self.work)

    def finish(self):
        for path in [*self.work.iterdir()]:
            path.unlink()
        self.store.publish(self.spec.stage, self.spec.key, self.made)


@pytest.fixture
def suite(small_run, store):
    return Suite(small_run, store)


@pytest.fixture
def said():
    return []


@pytest.fixture
def watching(suite, store, said, monkeypatch):
    """`watching(uri)`: a suite that is watched from now, closely."""
    monkeypatch.setattr(live, "SECONDS_BETWEEN", 0.05)
    monkeypatch.setattr(live, "MOST_SECONDS_BETWEEN", 0.2)
    started = []

    def watching(uri=None):
        folder = own_folder(store.root / "work", "driver-")
        one = Live(store, uri or tracking_uri(store), suite, folder.__enter__().name, said.append)
        one.begin()
        started.append((one, folder))
        return one

    yield watching
    for one, folder in started:
        one.end(complete=True)
        folder.__exit__(None, None, None)


@pytest.fixture
def soon(view):
    """`soon(test)`: what the reader sees once the test holds for it, which it has to soon."""

    def soon(test):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                seen = view()
                if test(seen):
                    return seen
            except (AttributeError, sqlite3.OperationalError):
                pass  # There is no experiment yet.
            time.sleep(0.05)
        pytest.fail("it never came")

    return soon


def curve(seen, suite, name="training/pixel_loss"):
    run = seen.stages.get(suite.spec.key)
    return seen.points(run, name) if run else []


def expected(rows):
    return [(row["step"], pytest.approx(row["pixel_loss"])) for row in rows]


def test_a_training_that_is_stopped_early_ends_its_run_with_the_step(suite, watching, soon, store):
    suite.spec = replace(suite.spec, runtime={"stop_early": {"name": "arm"}})
    watching()
    time.sleep(0.2)
    suite.begin()
    suite.writer.write(suite.curve[:2])
    soon(lambda seen: len(curve(seen, suite)) == 2)
    for key, value in (("other", 0.1), (suite.spec.key, 0.2)):
        Halving(store, "arm").judge(
            key, 20, lambda value=value: value,
            reduction=3, higher_is_better=False, keep=lambda: None,
        )  # fmt: skip
    seen = soon(lambda seen: seen.stages[suite.spec.key].info.status == "KILLED")
    run = seen.stages[suite.spec.key]
    assert run.data.tags["error"] == "stopped early at step 20"
    time.sleep(0.3)
    assert soon(lambda seen: True).stages[suite.spec.key].info.run_id == run.info.run_id


def test_a_training_appears_row_by_row_and_its_cell_when_it_is_done(
    suite, watching, soon, mirrored, store, said
):
    one = watching()
    time.sleep(0.2)
    suite.begin()
    suite.writer.write(suite.curve[:1])
    seen = soon(lambda seen: len(curve(seen, suite)) == 1)
    run = seen.stages[suite.spec.key]
    assert (run.info.status, run.info.run_name) == ("RUNNING", suite.spec.name)
    assert seen.parents[0].info.status == "RUNNING"
    suite.writer.write(suite.curve[:3])
    seen = soon(lambda seen: len(curve(seen, suite)) == 3)
    assert curve(seen, suite) == expected(suite.curve[:3])
    suite.finish()
    seen = soon(lambda seen: seen.states["FINISHED"] == 1)
    (cell,) = seen.cells.values()
    assert cell.data.tags["training/tokenizer"] == run.info.run_id
    assert f"runs/{run.info.run_id})" in cell.data.tags["mlflow.note.content"]
    assert "training/pixel_loss" not in cell.data.metrics
    assert "by_budget.json" in seen.artifacts(cell)
    parent = seen.parents[0].data.metrics
    assert (parent[DONE], parent[OF]) == (1, 3)
    one.end(complete=True)
    before = seen.all_points()
    seen = mirrored([suite.record])
    assert seen.all_points() == before
    assert seen.states == {"FINISHED": 2}
    run = seen.client.get_run(run.info.run_id)
    assert run.info.status == "FINISHED"
    assert curve(seen, suite) == expected(suite.curve)
    assert run.data.params["training.log_every"] == "10"
    assert said == []
    # What went in and what came out, by the store's own names.
    (model,) = run.outputs.model_outputs
    made = seen.client.get_logged_model(model.model_id)
    assert (made.name, made.status) == (suite.spec.name, "READY")
    assert made.tags["weights"] == str(store.artifact(suite.spec.stage, suite.spec.key))
    digests = {one.dataset.digest for one in cell.inputs.dataset_inputs}
    assert digests == {one.key for one in suite.record.stages if one.stage == "data"}
    inputs = seen.client.get_run(cell.info.run_id).inputs
    assert [one.model_id for one in inputs.model_inputs] == [model.model_id]
    (images,) = run.inputs.dataset_inputs
    assert images.dataset.digest == suite.spec.inputs["images"][1]


def test_what_a_dead_driver_left_running_is_killed_and_taken_over(
    suite, watching, soon, mirrored, view, store, vary_record
):
    """By the next command of the suite, not while the driver lives."""
    watching()
    suite.begin()
    suite.writer.write(suite.curve[:2])
    seen = soon(lambda seen: len(curve(seen, suite)) == 2)
    first = seen.stages[suite.spec.key].info.run_id
    other = vary_record(suite.record, histories={}, stages=[])
    assert mirrored([other]).stages[suite.spec.key].info.status == "RUNNING"
    driver = seen.stages[suite.spec.key].data.tags["driver"]
    seen.client.set_tag(first, "driver", "driver-of-the-dead")
    assert driver != "driver-of-the-dead"
    assert mirrored([other]).stages[suite.spec.key].info.status == "KILLED"
    assert view().states["RUNNING"] == 1  # The suite's own: its driver lives.


def test_a_failed_training_says_why(suite, watching, soon, store):
    """Also where it has failed like that before."""
    store.record_failure(suite.spec.stage, suite.spec.key, "DivergedError: step 21")
    time.sleep(0.02)
    watching()
    suite.begin()
    suite.writer.write(suite.curve[:1])
    soon(lambda seen: curve(seen, suite))
    suite.writer.write(suite.curve[:2])
    store.record_failure(suite.spec.stage, suite.spec.key, "DivergedError: step 21")
    seen = soon(lambda seen: seen.stage_states["FAILED"])
    assert seen.stages[suite.spec.key].data.tags["error"] == "DivergedError: step 21"
    assert curve(seen, suite) == expected(suite.curve[:2])


def test_a_tracker_whose_disk_is_full_for_a_while_has_every_point_once(
    suite, watching, soon, store, said, monkeypatch
):
    monkeypatch.setattr(live, "SECONDS_UNTIL_TOLD", 0.1)
    watching()
    suite.begin()
    suite.writer.write(suite.curve[:1])
    soon(lambda seen: len(curve(seen, suite)) == 1)
    with closing(sqlite3.connect(store.root / "mlflow.db", timeout=30)) as database, database:
        database.execute(FULL)
    suite.writer.write(suite.curve[:3])
    until = time.monotonic() + 60
    while not said and time.monotonic() < until:
        time.sleep(0.05)
    with closing(sqlite3.connect(store.root / "mlflow.db", timeout=30)) as database, database:
        database.execute("drop trigger full")
    seen = soon(lambda seen: len(curve(seen, suite)) == 3)
    assert curve(seen, suite) == expected(suite.curve[:3])
    (line,) = said
    assert line.startswith("warning: MLflow at sqlite:")
    assert "database or disk is full" in line
    assert line.endswith("; the run goes on, and tries again")


def test_a_tracker_that_does_not_answer_delays_the_end_by_little(
    suite, watching, silent, said, monkeypatch
):
    monkeypatch.setattr(live, "SECONDS_TO_END", 0.5)
    monkeypatch.setattr(patience, "SECONDS_BETWEEN_LOOKS", 0.05)
    monkeypatch.setitem(MLFLOW_ENVIRONMENT, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    one = watching(silent.uri)
    suite.begin()
    suite.writer.write(suite.curve[:1])
    assert silent.asked.wait(60)
    began = time.monotonic()
    one.end(complete=True)
    assert time.monotonic() - began < 5
    assert said == []
    assert "live MLflow" not in {thread.name for thread in threading.enumerate()}


def test_a_suite_with_nothing_to_do_leaves_no_trace(suite, watching, store):
    before = os.stat(store.root / "mlflow.db").st_mtime_ns
    suite.begin()  # An attempt of old: its driver is another.
    time.sleep(0.05)
    watching()
    time.sleep(0.3)
    assert os.stat(store.root / "mlflow.db").st_mtime_ns == before
