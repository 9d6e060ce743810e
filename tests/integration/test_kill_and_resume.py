import contextlib
import json
import os
import signal
import time
from pathlib import Path

import psutil
from mlflow import MlflowClient

TIMING = {"seconds", "throughput", "stages", "provenance", "policy_time_share"}


def records_of(store):
    return {
        path.name: without_timing(json.loads(path.read_text()))
        for path in (store / "records" / "tiny").glob("*.json")
    }


def without_timing(value):
    if isinstance(value, dict):
        return {
            name: without_timing(item)
            for name, item in value.items()
            if name not in TIMING and not name.endswith("images_per_second")
        }
    if isinstance(value, list):
        return [without_timing(item) for item in value]
    return value


def wait_for(condition, process, *, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.log.read_text()
        assert time.monotonic() < deadline, process.log.read_text()
        time.sleep(0.05)


def kill_tree(root):
    """Kill a process and all below it at once, as a power cut does: its workers finish nothing."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # It ended meanwhile.
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
            parents[int(fields["Pid"])] = int(fields["PPid"])
    below = {root}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    for pid in below:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def below(root, start):
    """Processes below one whose command line begins so."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(root).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name().startswith(start):
                    yield process


def stage_files(store):
    return {path: path.stat().st_mtime_ns for path in store.glob("*/*/stage.json")}


def mlflow_runs(store):
    client = MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    return client.search_runs([experiment.experiment_id])


def test_a_killed_run_ends_like_an_undisturbed_one(tiny, write_suite, spawn, adatok, tmp_path):
    tiny["base"]["training"]["steps"] = 300
    suite = write_suite(tiny)
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"

    driver = spawn("run", suite, "--store", killed, name="killed")
    wait_for(lambda: list((killed / "work").glob("tokenizer-*/checkpoint.safetensors")), driver)
    kill_tree(driver.pid)
    driver.wait()
    finished_before = stage_files(killed)
    assert finished_before
    assert not list((killed / "tokenizer").glob("*/stage.json"))

    again = spawn("run", suite, "--store", killed, name="again")
    assert again.wait(timeout=300) == 0, again.log.read_text()
    assert adatok("run", suite, "--store", undisturbed, "--executor", "serial").code == 0

    assert len(records_of(killed)) == 4
    assert records_of(killed) == records_of(undisturbed)
    finished = stage_files(killed)
    assert {path: finished[path] for path in finished_before} == finished_before
    interrupted = [json.loads(path.read_text()) for path in killed.glob("tokenizer/*/stage.json")]
    assert sorted(len(stage["attempts"]) for stage in interrupted) == [1, 2]

    runs = mlflow_runs(killed)
    cells = [run.data.tags["cell_key"] for run in runs if "cell_key" in run.data.tags]
    assert len(cells) == len(set(cells)) == 4
    assert len(runs) == 5
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_second_run_computes_nothing(tiny, write_suite, adatok, tmp_path):
    suite, store = write_suite(tiny), tmp_path / "store"
    first = adatok("run", suite, "--store", store, "--executor", "serial")
    before = stage_files(store)
    runs_before = {run.info.run_id for run in mlflow_runs(store)}
    second = adatok("run", suite, "--store", store, "--executor", "serial")
    assert (first.code, second.code) == (0, 0)
    assert "level" in first.err
    assert "level" not in second.err
    assert stage_files(store) == before
    assert {run.info.run_id for run in mlflow_runs(store)} == runs_before
    assert first.out == second.out


def test_two_drivers_on_one_store_share_the_work(tiny, write_suite, spawn, tmp_path):
    suite, store = write_suite(tiny), tmp_path / "store"
    drivers = [
        spawn("run", suite, "--store", store, "--executor", "serial", name=f"driver{number}")
        for number in range(2)
    ]
    for driver in drivers:
        assert driver.wait(timeout=200) == 0, driver.log.read_text()
    said = "".join(driver.log.read_text() for driver in drivers)
    stages = stage_files(store)
    for path in stages:
        name = f"{path.parent.parent.name}-{path.parent.name}"
        assert said.count(f"{name} computed") == 1
    assert len({run.info.run_id for run in mlflow_runs(store)}) == 5


def test_a_dead_worker_and_a_terminated_driver_cost_a_line_each(
    tiny, write_suite, spawn, adatok, tmp_path
):
    tiny["base"]["training"]["steps"] = 300
    suite = write_suite(tiny)
    store, undisturbed = tmp_path / "store", tmp_path / "undisturbed"

    def checkpoints():
        return list((store / "work").glob("tokenizer-*/checkpoint.safetensors"))

    first = spawn("run", suite, "--store", store, name="worker")
    wait_for(checkpoints, first)
    next(below(first.pid, "ray::Implicit")).kill()
    assert first.wait(timeout=300) == 1, first.log.read_text()
    said = first.log.read_text().splitlines()
    assert [line for line in said if line.startswith("failed: elastic: tokenizer: its worker ")]
    assert max(map(len, said)) < 400
    assert not [line for line in said if "Traceback" in line or "raylet" in line]

    steps = {path.stat().st_mtime_ns for path in checkpoints()}
    second = spawn("run", suite, "--store", store, name="driver")
    wait_for(lambda: {path.stat().st_mtime_ns for path in checkpoints()} - steps, second)
    processes = list(below(second.pid, ""))
    second.terminate()
    assert second.wait(timeout=60) == 143
    said = second.log.read_text().splitlines()
    assert said[-1] == "interrupted; the same command goes on from here"
    assert {line[:2] for line in said[:-1]} <= {"le", "  "}
    assert not psutil.wait_procs(processes, timeout=10)[1]
    assert not list((store / "work").glob("ray*"))

    assert adatok("run", suite, "--store", store, "--executor", "serial").code == 0
    assert adatok("run", suite, "--store", undisturbed, "--executor", "serial").code == 0
    assert records_of(store) == records_of(undisturbed)
    assert {run.info.status for run in mlflow_runs(store)} == {"FINISHED"}
