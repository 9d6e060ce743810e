import json


def test_a_killed_run_ends_like_an_undisturbed_one(
    long,
    undisturbed,
    write_suite,
    spawn,
    wait_for,
    kill_tree,
    records_of,
    stage_files,
    mlflow_runs,
    tmp_path,
):
    suite, killed = write_suite(long), tmp_path / "killed"

    driver = spawn("run", suite, "--store", killed, name="killed")
    wait_for(lambda: list((killed / "work").glob("tokenizer-*/checkpoint.safetensors")), driver)
    kill_tree(driver.pid)
    driver.wait()
    finished_before = stage_files(killed)
    assert finished_before
    assert not list((killed / "tokenizer").glob("*/stage.json"))

    again = spawn("run", suite, "--store", killed, name="again")
    assert again.wait(timeout=300) == 0, again.log.read_text()

    assert len(records_of(killed)) == 4
    assert records_of(killed) == undisturbed
    finished = stage_files(killed)
    assert {path: finished[path] for path in finished_before} == finished_before
    interrupted = [json.loads(path.read_text()) for path in killed.glob("tokenizer/*/stage.json")]
    assert sorted(len(stage["attempts"]) for stage in interrupted) == [1, 2]

    runs = mlflow_runs(killed)
    cells = [run.data.tags["cell_key"] for run in runs if "cell_key" in run.data.tags]
    assert len(cells) == len(set(cells)) == 4
    assert len(runs) == 5
    assert {run.info.status for run in runs} == {"FINISHED"}
