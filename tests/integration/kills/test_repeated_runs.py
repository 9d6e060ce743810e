import subprocess
import sys


def test_a_second_run_computes_nothing(
    tiny, write_suite, adatok, stage_files, mlflow_runs, tmp_path
):
    suite, store = write_suite(tiny), tmp_path / "store"
    first = adatok("run", suite, "--store", store, "--executor", "serial")
    before = stage_files(store)
    runs_before = {run.info.run_id for run in mlflow_runs(store)}
    second = adatok("run", suite, "--store", store, "--executor", "serial")
    assert (first.code, second.code) == (0, 0)
    assert "to compute" in first.err
    assert "to compute" not in second.err
    assert stage_files(store) == before
    assert {run.info.run_id for run in mlflow_runs(store)} == runs_before
    assert first.out == second.out
    code = f"""
import sys
from bench.commands.cli import cli
cli.main(["run", {str(suite)!r}, "--store", {str(store)!r}], standalone_mode=False)
slow = ("torch", "ray", "mlflow", "matplotlib", "scipy", "pandas", "pyarrow")
print([name for name in slow if name in sys.modules])
"""
    third = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert third.stdout == f"{second.out}[]\n"


def test_two_drivers_on_one_store_share_the_work(
    tiny, write_suite, spawn, stage_files, mlflow_runs, tmp_path
):
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
