import os
import re
import shutil
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.files import write_json
from bench.graph.suite_graph import build_graph
from bench.run import watch
from bench.run.cluster.session import FOLDER
from bench.run.executors import SerialExecutor
from bench.run.runner import run_suite
from bench.store.progress import Teller
from bench.store.provenance import provenance
from bench.store.stage import Outcome, Resources
from bench.store.store import Store


@pytest.fixture
def store(small_run, tmp_path):
    """A copy of the finished run's store."""
    return Store(shutil.copytree(small_run.store.root, tmp_path / "copy"))


@pytest.fixture
def again(small_run):
    """Runs the small suite on a store; returns the result and what was said."""

    def again(store):
        said = []
        executor = SerialExecutor(store)
        result = run_suite(
            small_run.suite, build_graph(small_run.suite), store, executor, say=said.append
        )
        return result, said

    return again


def results(records):
    """The metrics of the records, without what is measured anew: speeds."""
    return {
        record.cell_key: {
            name: value
            for name, value in record.metrics.root.items()
            if not name.endswith("per_second")
        }
        for record in records
    }


class Recorder:
    """An executor that computes nothing: every stage ends as `end(spec)` says."""

    def __init__(self, end=None, refuse=None):
        self.end, self.refuse = end, refuse
        self.asked, self.ran, self.closed = None, [], 0

    def check(self, requests):
        self.asked = dict(requests)
        if self.refuse:
            raise UserError(self.refuse)

    room = None

    def run(self, agenda):
        while not agenda.finished and (spec := agenda.take()):
            self.ran.append(spec)
            agenda.end(self.end(spec))

    def close(self):
        self.closed += 1


def test_a_failed_tokenizer_fails_exactly_its_cells(small_run):
    states = {record.label: record.status for record in small_run.result.records}
    assert states == {
        "elastic": "done",
        "policy: seed 0": "done",
        "policy: seed 1": "done",
        "diverged: seed 0": "failed",
        "diverged: seed 1": "failed",
        "fixed_at_mean": "done",
    }
    failed = small_run.result.failed
    assert [record.label for record in failed] == ["diverged: seed 0", "diverged: seed 1"]
    for record in failed:
        assert record.error.startswith("tokenizer: DivergedError: ")
        assert "step 2" in record.error


def test_every_distinct_stage_is_computed_once(small_run):
    assert small_run.result.computed == 2 + 2 + 3 + 2 + 1 + 4
    ended = [line.split()[0] for line in small_run.said if " after " in line]
    assert len(ended) == len(set(ended)) == 15
    (begin,) = (line for line in small_run.said if line.startswith("to compute: "))
    assert sorted(begin.removeprefix("to compute: ").split(", ")) == [
        "1 x png_sizes", "2 x data", "2 x policy", "3 x tokenizer", "4 x bank", "6 x evaluation",
    ]  # fmt: skip
    assert "3 stages not computed, as what they need has failed" in small_run.said


def test_a_record_for_every_cell(small_run):
    assert [r.cell_key for r in small_run.result.records] == [
        cell.key for cell in small_run.suite.cells
    ]
    assert [path.stem for path in small_run.result.paths] == [
        cell.key for cell in small_run.suite.cells
    ]
    assert all(path.is_file() for path in small_run.result.paths)


def test_the_second_run_computes_nothing_but_tries_again_what_failed(small_run, store, again):
    # Of runs that were killed.
    left = store.root / "work" / "ray-417", Path(tempfile.gettempdir()) / f"{FOLDER}{os.getpid()}"
    for folder in left:
        folder.mkdir(parents=True)
    result, said = again(store)
    assert not any(folder.exists() for folder in left)
    assert result.computed == 0
    for now, before in zip(result.records, small_run.result.records, strict=True):
        # A failed cell has no artifact to tell its provenance: it is that of the last attempt.
        assert {**now.plain(), "provenance": 0} == {**before.plain(), "provenance": 0}
    assert [line.split()[0] for line in said if " after " in line] == [
        small_run.spec("diverged: seed 0", "bank/tokenizer").name
    ]


@pytest.mark.parametrize(
    ("label", "gone"),
    [
        ("policy: seed 1", ["bank/images"]),
        ("policy: seed 1", ["policy", "policy/bank"]),
        ("fixed_at_mean", [""]),
    ],
)
def test_what_is_gone_is_computed_again_and_nothing_else(small_run, store, again, label, gone):
    specs = [small_run.spec(label, path) for path in gone]
    for spec in specs:
        shutil.rmtree(store.artifact(spec.stage, spec.key))
    result, said = again(store)
    names = {line.split()[0] for line in said if " computed after " in line}
    assert names == {spec.name for spec in specs}
    assert result.computed == len(gone)
    assert results(result.records) == results(small_run.result.records)


def fine(spec):
    return Outcome(spec.name, "cached")


def test_nothing_starts_when_all_is_there(small_run, load, small, tmp_path):
    spec = small_run.spec("elastic")
    result = small_run.store.description(spec.stage, spec.key)["result"]
    suite = load({**small, "arms": [{"name": "a"}]})
    graph, store = build_graph(suite), Store.open(tmp_path / "store")
    for node in graph.order():
        spec = node.spec(store)
        store.work(spec.stage, spec.key).mkdir(parents=True)
        write_json(store.work(spec.stage, spec.key) / "x", 1)
        store.publish(
            spec.stage,
            spec.key,
            {
                "stage": spec.stage,
                "key": spec.key,
                "config": spec.config,
                "inputs": spec.inputs,
                "result": result,
                "seconds": 1.0,
                "peak_memory_bytes": 1,
                "resources": asdict(Resources()),
                "provenance": provenance(),
            },
        )
    executor = Recorder()
    result = run_suite(suite, graph, store, executor, say=print)
    assert executor.asked is None
    assert executor.ran == []
    assert executor.closed == 1
    assert (result.computed, result.failed) == (0, [])


def test_resources_of_all_stages_are_checked_before_anything_runs(load, small, tmp_path):
    suite = load({**small, "resources": {"evaluation": {"cpus": 99}}})
    executor = Recorder(refuse="too many")
    store = Store.open(tmp_path / "store")
    with pytest.raises(UserError, match="too many"):
        run_suite(suite, build_graph(suite), store, executor, say=print)
    assert executor.asked["evaluation"] == Resources(cpus=99)
    assert set(executor.asked) == {
        "data", "tokenizer", "bank", "policy", "png_sizes", "evaluation",
    }  # fmt: skip
    assert (executor.ran, executor.closed) == ([], 1)


def test_a_fatal_outcome_stops_the_run(load, small, tmp_path):
    def disk_full(spec):
        return Outcome(spec.name, "failed", error="disk full", fatal=True)

    suite = load(small)
    executor = Recorder(end=disk_full)
    said = []
    with pytest.raises(UserError, match=r"^disk full$"):
        run_suite(suite, build_graph(suite), Store.open(tmp_path / "s"), executor, say=said.append)
    assert {spec.stage for spec in executor.ran} == {"data"}
    assert executor.closed == 1


def test_stages_whose_inputs_are_missing_are_not_run(load, small, tmp_path):
    suite = load(small)
    executor = Recorder(end=fine)
    result = run_suite(suite, build_graph(suite), Store.open(tmp_path / "s"), executor, say=print)
    assert {spec.stage for spec in executor.ran} == {"data"}
    assert len(result.failed) == 6
    assert {record.status for record in result.records} == {"pending"}


def test_a_long_run_tells_how_far_it_is(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "SECONDS_BETWEEN_LINES", 0.01)
    store = Store.open(tmp_path / "s")
    told = threading.Event()
    said = []

    def say(line):
        said.append(line)
        if "3/9" in line:
            told.set()

    def slow(spec):
        Teller(store.work(spec.stage, spec.key)).tell(3, 9, "images")
        assert told.wait(10)
        return fine(spec)

    run_suite(small_run.suite, build_graph(small_run.suite), store, Recorder(end=slow), say=say)
    assert any(re.fullmatch("  data-[0-9a-f]{16} 3/9 images", line) for line in said)
    assert "watch" not in {thread.name for thread in threading.enumerate()}


def test_a_run_is_watched_from_its_begin_to_its_end(small_run, store):
    """It forgets what an interrupted attempt said; whoever observes it is entered as well."""
    seen = []

    @contextmanager
    def watch(run):
        seen.append((run.total, run.ended, run.room))
        assert run.running() == {}
        yield
        seen.append((run.ended, [outcome.name for outcome in run.agenda.outcomes]))

    policy = small_run.spec("policy: seed 1", "policy")
    shutil.rmtree(store.artifact(policy.stage, policy.key))
    Teller(store.work(policy.stage, policy.key)).tell(3, 9)
    suite, said = small_run.suite, []
    suite = replace(suite, cells=suite.cells[:3])
    executor = SerialExecutor(store)
    run_suite(
        suite, build_graph(suite), store, executor, say=said.append, watch=watch, observers=[watch]
    )
    assert seen == [(1, 0, None)] * 2 + [(1, [policy.name])] * 2


def test_a_stage_that_was_asked_to_stop_interrupts_the_run(load, small, tmp_path):
    executor = Recorder(end=lambda spec: Outcome(spec.name, "stopped"))
    suite = load(small)
    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, build_graph(suite), Store.open(tmp_path / "s"), executor, say=print)
    assert (len(executor.ran), executor.closed) == (1, 1)
