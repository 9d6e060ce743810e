import errno
import json
import os
import threading
from dataclasses import replace
from datetime import datetime

import pytest

from bench.errors import UserError
from bench.store import stage
from bench.store.progress import read_progress
from bench.store.stage import Resources, StageSpec, compute
from bench.store.stopping import StageStopped, Stopping
from bench.store.store import Store


@pytest.fixture
def store(tmp_path):
    """A store that has the input of `SPEC`."""
    store = Store.open(tmp_path / "store")
    store.work("data", "0" * 16).mkdir(parents=True)
    (store.work("data", "0" * 16) / "images.npy").write_bytes(b"pixels")
    store.publish("data", "0" * 16, {})
    return store


SPEC = StageSpec(
    stage="data",
    version=1,
    config={"count": 3},
    inputs={"images": ("data", "0" * 16)},
    runtime={"path": "/here"},
    resources=Resources(),
)


def write(context):
    (context.work / "numbers.txt").write_text("1 2 3")
    return {"count": 3}


def raising(error):
    def function(context):
        raise error

    return function


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "bank"},
        {"version": 2},
        {"config": {"count": 4}},
        {"config": {}},
        {"inputs": {"images": ("data", "1" * 16)}},
        {"inputs": {"other": ("data", "0" * 16)}},
        {"inputs": {}},
    ],
)
def test_key_is_of_what_changes_the_result(changes):
    assert replace(SPEC, **changes).key != SPEC.key


def test_key_is_not_of_paths_and_resources():
    other = replace(SPEC, runtime={"path": "/there"}, resources=Resources(8, 2.0, "cuda", 2))
    assert other.key == SPEC.key
    assert SPEC.key == "21bdd453a050350e"
    assert SPEC.name == f"data-{SPEC.key}"


def test_computes_once(store):
    calls = []

    def function(context):
        calls.append(context)
        return write(context)

    first = compute(store, SPEC, function)
    second = compute(store, SPEC, function)
    assert (first.status, second.status) == ("computed", "cached")
    assert first.name == SPEC.name
    assert (first.error, first.fatal) == ("", False)
    (context,) = calls
    assert context.spec == SPEC
    assert context.inputs == {"images": store.artifact("data", "0" * 16)}
    assert (store.artifact("data", SPEC.key) / "numbers.txt").read_text() == "1 2 3"


def test_the_second_of_two_drivers_leaves_a_stage_to_the_first(store, monkeypatch):
    monkeypatch.setattr(stage, "LOCK_SECONDS", 0.05)
    started, go_on = threading.Event(), threading.Event()
    first = []

    def slow(context):
        started.set()
        assert go_on.wait(10)
        return write(context)

    driver = threading.Thread(target=lambda: first.append(compute(store, SPEC, slow)))
    driver.start()
    assert started.wait(10)
    assert store.is_locked(SPEC.name)
    assert compute(store, SPEC, raising(AssertionError)).status == "elsewhere"
    go_on.set()
    driver.join(10)
    assert first[0].status == "computed"
    assert not store.is_locked(SPEC.name)
    assert compute(store, SPEC, raising(AssertionError)).status == "cached"


def test_a_stage_that_was_asked_to_stop_has_not_failed(store):
    asked = Stopping()

    def stops(context):
        (context.work / "half").touch()
        assert context.stopping.looked()
        raise StageStopped

    asked.ask()
    assert compute(store, SPEC, stops, stopping=asked).status == "stopped"
    assert store.failure("data", SPEC.key) is None
    assert (store.work("data", SPEC.key) / "half").exists()
    assert compute(store, SPEC, write).status == "computed"


def test_a_spec_comes_back_from_plain_values():
    assert StageSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


def test_the_artifact_describes_itself(store):
    compute(store, SPEC, write)
    about = store.description("data", SPEC.key)
    assert about["stage"] == "data"
    assert about["key"] == SPEC.key
    assert about["version"] == 1
    assert about["config"] == SPEC.config
    assert about["inputs"] == {"images": ["data", "0" * 16]}
    assert about["runtime"] == SPEC.runtime
    assert about["resources"] == {"cpus": 1, "gpus": 0.0, "device": "cpu"}
    shared = Resources(2, 0.0, "cpu", 2)
    assert Resources(**shared.to_json()) == shared
    assert about["result"] == {"count": 3}
    assert about["seconds"] > 0
    assert about["peak_memory_bytes"] > 1 << 20
    assert about["system"]["resident_memory_bytes"][0] > 1 << 20
    assert {"git_commit", "git_dirty", "packages", "host", "python"} <= set(about["provenance"])
    (attempt,) = about["attempts"]
    assert datetime.fromisoformat(attempt).tzinfo is not None
    names = sorted(p.name for p in store.artifact("data", SPEC.key).iterdir())
    assert names == ["numbers.txt", "stage.json"]
    assert about["files"]["numbers.txt"]["bytes"] == 5


def test_an_error_fails_the_stage_and_is_remembered_by_type_and_first_line(store):
    outcome = compute(store, SPEC, raising(ValueError("no head\nno tail")))
    assert (outcome.status, outcome.error, outcome.fatal) == (
        "failed",
        "ValueError: no head",
        False,
    )
    assert outcome.seconds > 0
    assert store.failure("data", SPEC.key) == "ValueError: no head"
    assert not store.has("data", SPEC.key)


def test_a_failed_stage_is_tried_again_and_keeps_its_work(store):
    def stops_halfway(context):
        (context.work / "checkpoint").write_text("half")
        raise RuntimeError("stop")

    def goes_on(context):
        assert (context.work / "checkpoint").read_text() == "half"
        return write(context)

    assert compute(store, SPEC, stops_halfway).status == "failed"
    assert compute(store, SPEC, goes_on).status == "computed"
    assert store.failure("data", SPEC.key) is None
    assert len(store.description("data", SPEC.key)["attempts"]) == 2


def test_bad_input_is_fatal_and_not_remembered(store):
    outcome = compute(store, SPEC, raising(UserError("folder is missing")))
    assert (outcome.status, outcome.error, outcome.fatal) == ("failed", "folder is missing", True)
    assert store.failure("data", SPEC.key) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_cannot_be_written_is_fatal(store, number):
    outcome = compute(store, SPEC, raising(OSError(number, "the reason")))
    assert outcome.fatal
    told = f"cannot write to the store {store.root}: {os.strerror(number)}; "
    assert outcome.error.startswith(told)


def test_other_os_errors_fail_the_stage_alone(store):
    outcome = compute(store, SPEC, raising(FileNotFoundError(errno.ENOENT, "gone")))
    assert (outcome.status, outcome.fatal) == ("failed", False)
    assert outcome.error == "FileNotFoundError: [Errno 2] gone"


def test_an_interrupt_is_no_failure(store):
    with pytest.raises(KeyboardInterrupt):
        compute(store, SPEC, raising(KeyboardInterrupt()))
    assert store.failure("data", SPEC.key) is None
    assert compute(store, SPEC, write).status == "computed"


def test_an_outcome_crosses_processes_as_plain_values(store):
    outcome = compute(store, SPEC, raising(UserError("no")))
    assert type(outcome)(**json.loads(json.dumps(outcome.to_json()))) == outcome


def test_progress_is_told_while_the_stage_runs_and_gone_afterwards(store):
    told = []

    def function(context):
        for done in range(1, 50):
            context.progress(done, 50, "images")
            told.append(str(read_progress(context.work)))
        return write(context)

    assert compute(store, SPEC, function).status == "computed"
    assert set(told) == {"1/50 images"}
    assert read_progress(store.artifact("data", SPEC.key)) is None
