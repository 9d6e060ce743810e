"""The short form of `experiments/benchmarks/faults/fuzz_inputs.py`."""

import importlib
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def fuzz():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[3]))
        yield importlib.import_module("experiments.benchmarks.faults.fuzz_inputs")


@pytest.fixture(scope="module")
def workspace(fuzz, small_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    fuzz.prepare(folder, small_run.store.root, "small:policy: seed 0")
    return folder


@pytest.mark.parametrize(("kind", "count"), [("suites", 40), ("tokens", 60), ("models", 20)])
def test_damaged_inputs_are_used_or_refused_in_a_line(fuzz, workspace, kind, count):
    fates = [fuzz.fate(kind, number, 1, workspace) for number in range(count)]
    assert not [found for found in fates if "\n" in found]
    assert 0 < sum(found == "used" for found in fates) < count / 2


def test_damaged_records_are_used_or_refused_in_a_line(fuzz, workspace):
    shutil.rmtree(workspace / "store" / "reports", ignore_errors=True)
    fates = [fuzz.fate("records", n, 1, workspace) for n in range(30) if n % 5]
    assert not [found for found in fates if "\n" in found]
    reasons = [found for found in fates if found.startswith("refused")]
    assert 0 < len(reasons) < len(fates)
    assert sum("is not as it was written" in reason for reason in reasons) < len(reasons) / 2
