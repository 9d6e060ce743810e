import json
import subprocess
import sys
import threading
import time
from dataclasses import replace

import psutil
import pytest
import torch

from bench.errors import UserError
from bench.stages import generator, tokenizer
from bench.stages.training.messages import RankError, context_of, task_of
from bench.store.checkpoints import CHECKPOINT, load_state, load_tensors
from bench.store.stage import Resources
from bench.store.stopping import StageStopped

PATH = "bank/tokenizer"
TWO = Resources(cpus=2, ranks=2)


@pytest.fixture
def shared(small_run, context):
    """`shared(resources, **training)`: the small run's tokenizer stage on two ranks."""

    def shared(resources=TWO, **training):
        config = small_run.spec("elastic", PATH).config["training"] | training
        stage = context("elastic", PATH, config={"training": config})
        return replace(stage, spec=replace(stage.spec, resources=resources))

    return shared


def ranks_of_this_process():
    """Other tests may have left helpers of Python's own."""
    children = psutil.Process().children()
    return [one for one in children if "bench.stages.training.worker" in one.cmdline()]


def wait_for(condition, *, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_rank_ends_all_and_the_next_command_goes_on(small_run, shared):
    killed = []

    def kill_second():
        wait_for((stage.work / CHECKPOINT).exists)
        ranks = ranks_of_this_process()
        second = max(ranks, key=lambda process: (process.create_time(), process.pid))
        second.kill()
        killed.append((time.monotonic(), ranks))

    stage = shared(steps=3000, checkpoint_every=10)
    killer = threading.Thread(target=kill_second)
    killer.start()
    with pytest.raises(RankError, match=r"^rank 1 of 2 has died \(killed, perhaps out of memory"):
        tokenizer.run(stage)
    killer.join()
    ((at, ranks),) = killed
    assert time.monotonic() - at < 30
    assert len(ranks) == 2
    assert not any(process.is_running() for process in ranks)
    reached = load_state(stage.work).step
    assert 10 <= reached < 3000

    result = tokenizer.run(shared(steps=reached + 10, checkpoint_every=10))
    assert ranks_of_this_process() == []
    assert [row["step"] for row in result["history"]][-1] == reached + 10
    assert len(result["rank_peak_memory_bytes"]) == 2
    assert {path.suffix for path in stage.work.iterdir()} == {".safetensors", ".json", ".jsonl"}
    assert load_state(stage.work) is None


def test_ranks_that_are_asked_to_stop_leave_a_checkpoint_between_two(shared):
    stage = shared(steps=3000, checkpoint_every=1000)

    def ask():
        wait_for(lambda: (stage.work / "progress.json").exists())
        stage.stopping.ask()

    asker = threading.Thread(target=ask)
    asker.start()
    with pytest.raises(StageStopped):
        tokenizer.run(stage)
    asker.join()
    assert ranks_of_this_process() == []
    assert load_state(stage.work).step % 1000


def test_the_artifact_of_two_ranks_is_that_of_one(small_run, shared):
    stage = shared()
    result = tokenizer.run(stage)
    of_one = small_run.artifact("elastic", PATH)
    described = json.loads((of_one / "stage.json").read_bytes())["result"]
    for row, expected in zip(result["history"], described["history"], strict=True):
        assert row == pytest.approx(expected, rel=1e-4)
    assert result["images_seen"] == described["images_seen"]
    tensors, about = load_tensors(stage.work / "tokenizer.safetensors")
    expected, as_of_one = load_tensors(of_one / "tokenizer.safetensors")
    assert about == as_of_one
    for name, tensor in tensors.items():
        if not name.endswith("qkv.bias"):  # Keys' have no gradient but rounding noise.
            torch.testing.assert_close(tensor, expected[name], atol=1e-4, rtol=0)


def test_a_generator_of_two_ranks_is_that_of_one(generation_run, context):
    stage = context("adaptive", "generator", of=generation_run)
    result = generator.run(replace(stage, spec=replace(stage.spec, resources=TWO)))
    key = generation_run.spec("adaptive", "generator").key
    described = generation_run.store.description("generator", key)["result"]
    for row, expected in zip(result["history"], described["history"], strict=True):
        assert row == pytest.approx(expected, rel=1e-4)
    assert result["held_out"] == pytest.approx(described["held_out"], rel=1e-4)


@pytest.mark.parametrize(
    ("training", "error", "words"),
    [
        ({"batch": 7}, UserError, r"training\.batch: 7 cannot be shared out to 2 ranks; make it"),
        ({"batch": 50}, UserError, r"training\.batch: 50 exceeds the 48 training images"),
    ],
)
def test_errors_are_those_of_one_process(shared, training, error, words):
    with pytest.raises(error, match=words):
        tokenizer.run(shared(**training))


def test_gpus_that_are_not_there_are_refused(shared):
    with pytest.raises(UserError, match=r"tokenizer: asks for 2 GPUs, and this process sees 0"):
        tokenizer.run(shared(Resources(cpus=2, gpus=2.0, device="cuda", ranks=2)))


def test_a_rank_ends_with_its_stage(shared, tmp_path):
    stage, folder = shared(), tmp_path / "ranks"
    folder.mkdir()
    task = json.loads(json.dumps(task_of(stage, folder=str(folder), rank=0)))
    assert context_of(task).spec.key == stage.spec.key
    command = [sys.executable, "-m", "bench.stages.training.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as rank:
        rank.stdin.write(json.dumps(task) + "\n")
        rank.stdin.flush()
        wait_for((folder / "rendezvous").exists)  # It waits for the other now.
        rank.stdin.close()
        assert rank.wait(timeout=30) == 1
    assert not folder.exists()
