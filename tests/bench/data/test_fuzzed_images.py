"""The short form of `experiments/benchmarks/faults/fuzz_images.py`."""

import importlib
import time
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def fuzz():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[3]))
        yield importlib.import_module("experiments.benchmarks.faults.fuzz_images")


def test_files_as_they_were_made_are_read(fuzz):
    assert {fuzz.read(data) for data in fuzz.originals()} == {"read"}


def test_damaged_files_are_read_or_refused_in_a_line(fuzz, capfd):
    fates, slowest = [], 0.0
    for number in range(160):
        began = time.process_time()
        fates.append(fuzz.fate(number, 0))
        slowest = max(slowest, time.process_time() - began)
    assert not any("\n" in found for found in fates)
    assert slowest < 10
    assert 20 < sum(found.startswith("read") for found in fates) < 140
    assert capfd.readouterr() == ("", "")
