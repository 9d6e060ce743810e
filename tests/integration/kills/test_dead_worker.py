import psutil


def test_dead_workers_are_tried_again_and_a_terminated_driver_saves_what_runs(
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
    steps = set()

    def went_on():
        """Whether there is a checkpoint that was not there the last time."""
        there = {
            path.stat().st_mtime_ns
            for path in (store / "work").glob("tokenizer-*/checkpoint.safetensors")
        }
        new = there - steps
        if new:
            steps.update(there)
        return new

    run = spawn("run", suite, "--store", store, name="run")
    wait_for(went_on, run)
    next(below(run.pid, "ray::Resource")).kill()
    wait_for(lambda: "(retry 1 of 2)" in run.log.read_text(), run)
    went_on()
    wait_for(went_on, run)
    next(below(run.pid, "ray::Resource")).terminate()
    wait_for(lambda: "terminated; it has saved a checkpoint" in run.log.read_text(), run)
    went_on()
    wait_for(went_on, run)
    processes = list(below(run.pid, ""))
    run.terminate()
    assert run.wait(timeout=60) == 143
    assert went_on()  # It was between two checkpoints.
    said = run.log.read_text().splitlines()
    assert said[-1] == "interrupted; the same command goes on from here"
    assert {line[:2] for line in said[:-1]} == {"to", "  "}
    assert max(map(len, said)) < 400
    assert not psutil.wait_procs(processes, timeout=10)[1]
    assert not list((store / "work").glob("ray*"))

    assert adatok("run", suite, "--store", store, "--executor", "serial").code == 0
    assert records_of(store) == undisturbed
    assert {run.info.status for run in mlflow_runs(store)} == {"FINISHED"}
