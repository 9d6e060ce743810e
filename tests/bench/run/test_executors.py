import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from bench.errors import UserError
from bench.graph.nodes import Node
from bench.run.agenda import Agenda
from bench.run.cluster.executor import RayExecutor
from bench.run.executors import SerialExecutor, require_device
from bench.stages.data import run as build_data
from bench.store.stage import Resources, compute
from bench.store.stopping import ask_to_stop
from bench.store.store import Store


def scenes(count, *, cpus=1):
    config = {"kind": "fluent_scenes", "resolution": 16, "seed": 0, "split": "train"}
    return Node("data", {**config, "count": count}, {}, {}, Resources(cpus))


MISSING_FOLDER = Node("manifest", {"fingerprint": "f"}, {}, {"path": "/nowhere"}, Resources())


def training(images, **changes):
    tokenizer = {
        "budgets": [1, 2],
        "width": 16,
        "encoder_depth": 1,
        "decoder_depth": 1,
        "attention_heads": 2,
        "lora": {"rank": 0},
    }
    settings = {"steps": 2, "batch": 2, "log_every": 1, "warmup_steps": 0, **changes}
    config = {"tokenizer": tokenizer, "training": settings}
    return Node("tokenizer", config, {"images": images}, {}, Resources())


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "store")


@pytest.fixture
def said():
    return []


@pytest.fixture
def run(store, said):
    """`run(executor, *nodes)`: the outcomes by node, and the agenda."""

    def run(executor, *nodes, retries=0):
        agenda = Agenda(nodes, store, said.append, retries=retries)
        executor.run(agenda)
        named = {outcome.name: outcome for outcome in agenda.outcomes}
        return {node: named.get(node.spec(store).name) for node in nodes}, agenda

    return run


def test_serial_runs_all_stages_once(store, run):
    images, fresh = scenes(2), scenes(3)
    failing, behind = training(images, learning_rate=1e30, steps=5), scenes(4)
    compute(store, images.spec(store), build_data)
    outcomes, agenda = run(SerialExecutor(store), images, failing, fresh, behind)
    assert [o and o.status for o in outcomes.values()] == [None, "failed", "computed", "computed"]
    assert len(agenda.outcomes) == 3
    assert store.has("data", fresh.spec(store).key)


def test_serial_stops_after_a_fatal_stage(store, run):
    _, agenda = run(SerialExecutor(store), MISSING_FOLDER, scenes(2))
    (outcome,) = agenda.outcomes
    assert outcome.fatal
    assert "/nowhere" in str(agenda.error)
    assert not store.has("data", scenes(2).spec(store).key)


def test_a_stage_gets_as_many_threads_as_it_asks_for(store, run, monkeypatch):
    threads = []
    monkeypatch.setattr(
        "bench.stages.data.run", lambda context: threads.append(torch.get_num_threads()) or {}
    )
    before = torch.get_num_threads()
    try:
        run(SerialExecutor(store), scenes(1, cpus=2), scenes(2, cpus=1))
    finally:
        torch.set_num_threads(before)
    assert sorted(threads) == [1, 2]


def test_a_stage_of_another_run_is_waited_for_while_others_are_computed(store, run, said):
    theirs, ours = scenes(2), scenes(3)
    spec = theirs.spec(store)
    held, computed = threading.Event(), []

    def compute_elsewhere():
        with store.locked(spec.name):
            held.set()
            while not (said and store.has("data", ours.spec(store).key)):
                time.sleep(0.01)
        computed.append(compute(store, spec, build_data))

    thread = threading.Thread(target=compute_elsewhere)
    thread.start()
    assert held.wait(10)
    outcomes, _ = run(SerialExecutor(store), theirs, ours)
    thread.join()
    assert outcomes[ours].status == "computed"
    assert {computed[0].status, outcomes[theirs].status} == {"computed", "cached"}
    assert said == [f"  {spec.name} is being computed by another run"]


def test_a_signal_leaves_a_checkpoint_and_the_end_is_that_of_an_undisturbed_run(store, run):
    images = scenes(4)
    long = training(images, steps=300, checkpoint_every=299, log_every=1)
    work = store.work("tokenizer", long.spec(store).key)
    asked = []

    def ask():
        while not (work / "progress.json").exists():
            time.sleep(0.001)
        asked.append(ask_to_stop())

    signal.signal(signal.SIGUSR1, lambda *_: ask())
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    stopper = threading.Thread(target=lambda: (_wait(work / "progress.json"), timer.start()))
    stopper.start()
    _, agenda = run(SerialExecutor(store), images, long)
    stopper.join()
    assert (asked, agenda.stopped) == ([True], True)
    assert (work / "checkpoint.safetensors").exists()
    _, agenda = run(SerialExecutor(store), images, long)
    (again,) = agenda.outcomes
    assert again.status == "computed"
    found = store.artifact("tokenizer", long.spec(store).key) / "tokenizer.safetensors"
    other = Store.open(store.root.parent / "other")
    undisturbed = Agenda([images, long], other, print)
    SerialExecutor(other).run(undisturbed)
    same = other.artifact("tokenizer", long.spec(other).key) / "tokenizer.safetensors"
    assert found.read_bytes() == same.read_bytes()


def _wait(path):
    while not path.exists():
        time.sleep(0.001)


def test_a_gpu_is_asked_for_in_vain_on_a_machine_without(monkeypatch, store):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    requests = {"data": Resources(), "bank": Resources(1, 1.0, "cuda")}
    for check in (require_device, SerialExecutor(store).check, RayExecutor(store).check):
        with pytest.raises(UserError, match=r"^bank: device cuda .* set device: cpu in the suite"):
            check(requests)
    require_device({"data": Resources()})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    require_device(requests)
    many = {"tokenizer": Resources(8, 8.0, "cuda", 8)}
    with pytest.raises(UserError, match=r"^resources.tokenizer: asks for 8 GPUs, .* has 1; ask"):
        SerialExecutor(store).check(many)


def holder_of(lock):
    """The process that has a file open, or None."""
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor) == str(lock):
                return int(descriptor.parts[2])
        except OSError:
            continue
    return None


def kill_once_training(store, spec):
    """Kill the worker of a stage, as the system does where memory is out."""
    checkpoint = store.work(spec.stage, spec.key) / "checkpoint.safetensors"
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    worker = holder_of(store.root / "locks" / f"{spec.name}.lock")
    assert worker != os.getpid()
    os.kill(worker, signal.SIGKILL)


def test_ray_runs_all_stages_whatever_becomes_of_their_workers(store, run, said):
    cached = scenes(4)
    compute(store, cached.spec(store), build_data)
    fresh = training(cached)
    failing = training(cached, learning_rate=1e30, steps=5)
    long = training(cached, steps=1500, checkpoint_every=50)
    behind = Node("png_sizes", {}, {"images": scenes(5)}, {}, Resources())
    nodes = [cached, long, failing, fresh, behind.inputs["images"], behind]
    executor = RayExecutor(store)
    try:
        executor.check({node.stage: node.resources for node in nodes})
        lacking = {"999 CPU": Resources(999), "64 GPU": Resources(gpus=64)}
        for name, asked in {**lacking, "70000 GB": Resources(memory_gb=7e4)}.items():
            with pytest.raises(UserError, match=rf"resources\.bank: asks for {name}, the cluster"):
                executor.check({"data": Resources(), "bank": asked})
        killer = threading.Thread(target=kill_once_training, args=(store, long.spec(store)))
        killer.start()
        outcomes, agenda = run(executor, *nodes, retries=1)
        killer.join()
        _, fatal = run(executor, MISSING_FOLDER)
    finally:
        executor.close()

    statuses = [outcomes[node] and outcomes[node].status for node in nodes]
    assert statuses == [None, "computed", "failed", "computed", "computed", "computed"]
    assert len(agenda.outcomes) == 5
    assert outcomes[failing].error.startswith("DivergedError: ")
    assert store.failure("tokenizer", failing.spec(store).key) == outcomes[failing].error
    assert "/nowhere" in str(fatal.error)
    (again,) = said
    assert again.startswith(f"  {long.spec(store).name}: its worker process has died")
    assert again.endswith("(retry 1 of 1)")
    described = store.description("tokenizer", long.spec(store).key)
    assert len(described["attempts"]) == 2
    assert not list((store.root / "work").glob("ray*"))

    import ray

    assert not ray.is_initialized()
