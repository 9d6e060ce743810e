import json
import os
import threading
import time

import pytest
import torch

from bench.run.cluster import trial
from bench.run.cluster.notes import STOP
from bench.run.cluster.trial import StageTrial, limit_gpu_memory, spec_note
from bench.store.progress import Teller
from bench.store.stage import Outcome, Resources, StageSpec
from bench.store.store import Store

SPEC = StageSpec("data", 1, {}, {"images": ("data", "0" * 16)}, {}, Resources())


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """`begun(compute)`: a trial whose stage computes so, outside of Ray."""
    monkeypatch.setattr(trial, "SECONDS_BETWEEN_LOOKS", 0.01)

    def begun(compute):
        monkeypatch.setattr(trial, "compute_with_threads", compute)
        one = StageTrial.__new__(StageTrial)
        one.store, one.terminated = Store.open(tmp_path), False
        notes = {spec_note(SPEC.name): json.dumps(SPEC.to_json())}
        one.notes = type("Notes", (dict,), {"read": dict.get, "write": dict.__setitem__})(notes)
        assert one.reset_config({"name": SPEC.name})
        return one

    return begun


def heeding(store, spec, stopping):
    """A stage that stops when it is asked to."""
    while not stopping.looked():
        time.sleep(0.001)
    return Outcome(spec.name, "stopped")


def test_it_reports_progress_now_and_then_and_the_outcome_last(begun, monkeypatch):
    monkeypatch.setattr(trial, "SECONDS_BETWEEN_REPORTS", 0.02)
    go = threading.Event()

    def compute(store, spec, stopping):
        Teller(store.work(spec.stage, spec.key)).tell(3, 9, "steps")
        assert go.wait(10)
        return Outcome(spec.name, "computed", 1.5)

    one = begun(compute)
    assert one.spec == SPEC
    report = {}
    while not report.get("progress"):
        report = one.step()
    assert report["done"] is False
    assert (report["progress"]["done"], report["progress"]["total"]) == (3, 9)
    go.set()
    last = one.step()
    while not last["done"]:
        last = one.step()
    assert Outcome(**last["outcome"]) == Outcome(SPEC.name, "computed", 1.5)


def test_it_stops_when_the_run_does_and_waits_for_a_stage_that_looks(begun):
    one = begun(heeding)
    while not one.stopping.heeded:
        time.sleep(0.001)
    one.notes.write(STOP, "")
    assert one.step() == {"outcome": Outcome(SPEC.name, "stopped").to_json(), "done": True}
    assert not one.thread.is_alive()
    forever = threading.Event()
    deaf = begun(lambda store, spec, stopping: forever.wait(10))
    deaf.notes.write(STOP, "")
    assert deaf.step()["outcome"]["status"] == "stopped"
    assert deaf.thread.is_alive()
    forever.set()


def test_a_signal_stops_the_stage_and_then_the_process(begun, monkeypatch):
    codes = []

    def leave(code):
        codes.append(code)
        raise SystemExit

    monkeypatch.setattr(os, "_exit", leave)
    one = begun(heeding)
    while not one.stopping.heeded:
        time.sleep(0.001)
    one._terminate(15, None)
    with pytest.raises(SystemExit):
        one.step()
    assert codes == [143]
    assert one.notes[f"end/{SPEC.name}"] == "terminated; it has saved a checkpoint"
    with pytest.raises(SystemExit):  # Nothing runs.
        one._terminate(15, None)


def test_a_trial_that_is_over_has_its_stage_stop(begun):
    one = begun(heeding)
    while not one.stopping.heeded:
        time.sleep(0.001)
    one.cleanup()
    assert one.outcome == Outcome(SPEC.name, "stopped")


def test_a_share_of_a_gpu_is_a_share_of_its_memory(monkeypatch):
    limits = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limits.append)
    for gpus in (0.0, 0.25, 1.0, 2.0):
        limit_gpu_memory(Resources(1, gpus, "cuda"))
    assert limits == [0.25]
