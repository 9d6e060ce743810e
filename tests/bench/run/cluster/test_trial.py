import json
import mmap
import os
import re
import threading
import time
from dataclasses import replace

import psutil
import pytest
import torch
from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.execution import tune_controller

from bench.run.cluster import trial
from bench.run.cluster.memory import deaths_of_one_trial, taken_bytes
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


def test_a_stage_that_takes_more_memory_than_it_asked_for_is_ended(begun, monkeypatch):
    def leave(code):
        raise SystemExit(code)

    ended = []
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(trial, "end_below", ended.append)  # Other tests' helpers live below.
    one = begun(heeding)
    one.spec = replace(one.spec, resources=Resources(memory_gb=4.0))
    one._heed_memory()
    before = taken_bytes(psutil.Process())
    held = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, len(held), mmap.PAGESIZE):
        held[page] = 1
    assert taken_bytes(psutil.Process()) - before > len(held) * 0.9
    one.spec = replace(one.spec, resources=Resources(memory_gb=before / 1e9))
    with pytest.raises(SystemExit, match="143"):
        one.step()
    assert ended == [psutil.Process()]
    told = re.match("ended: out of memory, it took ([0-9.]+) GB", one.notes[f"end/{SPEC.name}"])
    assert float(told[1]) == pytest.approx((before + len(held)) / 1e9, rel=0.1, abs=0.01)
    held.close()
    one.cleanup()


class Tracked:
    """An actor, or a task of one, as Tune's manager keeps them."""

    def __init__(self, errors):
        self._tracked_actor, self.actor_id = self, 7
        self._on_error = lambda tracked, error: errors.append(error)


def test_a_worker_that_ray_ends_for_lack_of_memory_is_no_fault_of_tune():
    errors = []
    with deaths_of_one_trial():
        manager = tune_controller.RayActorManager.__new__(tune_controller.RayActorManager)
    manager._failed_actor_ids, manager._cleanup_actor = set(), lambda tracked_actor: None
    manager._actor_task_failed(Tracked(errors), OutOfMemoryError("the node is low on memory"))
    assert {type(error) for error in errors} == {RayActorError}
    assert str(errors[0]) == "the node is low on memory"
    assert tune_controller.RayActorManager is RayActorManager


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
