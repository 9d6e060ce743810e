import psutil


def test_a_dead_worker_and_a_terminated_driver_cost_a_line_each(
    long,
    undisturbed,
    write_suite,
    spawn,
    adatok,
    wait_for,
    below,
    records_of,
    mlflow_runs,
    tmp_path,
):
    suite, store = write_suite(long), tmp_path / "store"

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
    assert records_of(store) == undisturbed
    assert {run.info.status for run in mlflow_runs(store)} == {"FINISHED"}
