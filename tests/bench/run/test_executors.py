import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from bench.errors import UserError
from bench.run.executors import RayExecutor, SerialExecutor, require_device
from bench.stages.data import run as build_data
from bench.store.stage import Resources, StageSpec, compute
from bench.store.store import Store


def scenes(count, *, cpus=1):
    config = {"kind": "fluent_scenes", "resolution": 16, "seed": 0, "split": "train"}
    return StageSpec("data", 1, {**config, "count": count}, {}, {}, Resources(cpus))


MISSING_FOLDER = StageSpec(
    "manifest", 1, {"fingerprint": "f"}, {}, {"path": "/nowhere"}, Resources()
)


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
    return StageSpec("tokenizer", 1, config, {"images": ("data", images.key)}, {}, Resources())


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "store")


def test_serial_runs_all_stages_in_order(store):
    cached, fresh = scenes(2), scenes(3)
    failing = training(cached, learning_rate=1e30, steps=5)
    compute(store, cached, build_data)
    told = []
    outcomes = SerialExecutor(store).run([failing, cached, fresh], told.append)
    assert told == outcomes
    assert [o.name for o in outcomes] == [failing.name, cached.name, fresh.name]
    assert [o.status for o in outcomes] == ["failed", "cached", "computed"]
    assert store.has("data", fresh.key)


def test_serial_stops_after_a_fatal_stage(store):
    outcomes = SerialExecutor(store).run([MISSING_FOLDER, scenes(2)], lambda outcome: None)
    (outcome,) = outcomes
    assert outcome.fatal
    assert "/nowhere" in outcome.error
    assert not store.has("data", scenes(2).key)


def test_a_stage_gets_as_many_threads_as_it_asks_for(store, monkeypatch):
    threads = []
    monkeypatch.setattr(
        "bench.stages.data.run", lambda context: threads.append(torch.get_num_threads()) or {}
    )
    before = torch.get_num_threads()
    try:
        specs = [scenes(1, cpus=2), scenes(2, cpus=1)]
        SerialExecutor(store).run(specs, lambda outcome: None)
    finally:
        torch.set_num_threads(before)
    assert threads == [2, 1]


def test_a_gpu_is_asked_for_in_vain_on_a_machine_without(monkeypatch, store):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    requests = {"data": Resources(), "bank": Resources(1, 1.0, "cuda")}
    for check in (require_device, SerialExecutor(store).check, RayExecutor(store).check):
        with pytest.raises(UserError, match=r"^bank: device cuda .* set device: cpu in the suite"):
            check(requests)
    require_device({"data": Resources()})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    require_device(requests)


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
    """Kill the worker of a stage, as a lack of memory would."""
    checkpoint = store.work(spec.stage, spec.key) / "checkpoint.safetensors"
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    worker = holder_of(store.root / "locks" / f"{spec.name}.lock")
    assert worker != os.getpid()
    os.kill(worker, signal.SIGKILL)


def test_ray_runs_a_level_whatever_becomes_of_its_stages(store):
    cached = scenes(4)
    compute(store, cached, build_data)
    fresh = training(cached)
    failing = training(cached, learning_rate=1e30, steps=5)
    long = training(cached, steps=3000, checkpoint_every=1)
    level = [long, failing, cached, fresh, MISSING_FOLDER]
    executor = RayExecutor(store)
    told = []
    try:
        executor.check({spec.stage: spec.resources for spec in level})
        for asked, name in ((Resources(cpus=999), "999 CPU"), (Resources(gpus=64), "64 GPU")):
            with pytest.raises(UserError, match=rf"resources\.bank: asks for {name}, the cluster"):
                executor.check({"data": Resources(), "bank": asked})
        killer = threading.Thread(target=kill_once_training, args=(store, long))
        killer.start()
        outcomes = {outcome.name: outcome for outcome in executor.run(level, told.append)}
        killer.join()
    finally:
        executor.close()

    assert set(outcomes) == {spec.name for spec in level}
    assert sorted(told, key=lambda o: o.name) == sorted(outcomes.values(), key=lambda o: o.name)
    assert outcomes[cached.name].status == "cached"
    assert outcomes[fresh.name].status == "computed"
    assert store.has("tokenizer", fresh.key)
    assert outcomes[failing.name].status == "failed"
    assert outcomes[failing.name].error.startswith("DivergedError: ")
    assert store.failure("tokenizer", failing.key) == outcomes[failing.name].error
    assert not outcomes[failing.name].fatal
    assert outcomes[MISSING_FOLDER.name].fatal
    assert "/nowhere" in outcomes[MISSING_FOLDER.name].error
    killed = outcomes[long.name]
    assert (killed.status, killed.fatal) == ("failed", False)
    assert "worker process has died" in killed.error
    assert store.failure("tokenizer", long.key) == killed.error
    assert list(store.work("tokenizer", long.key).glob("checkpoint*.safetensors"))
    assert not list((store.root / "work").glob("ray*"))

    import ray

    assert not ray.is_initialized()
