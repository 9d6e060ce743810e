"""The short form of `experiments/benchmarks/fuzz_images.py`."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "experiments" / "benchmarks" / "fuzz_images.py"


@pytest.fixture(scope="module")
def fuzz():
    specification = importlib.util.spec_from_file_location("fuzz_images", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_files_as_they_were_made_are_read(fuzz):
    assert {fuzz.fate(data)[0] for data in fuzz.originals()} == {"read"}


def test_damaged_files_are_read_or_refused_in_a_line(fuzz, capfd):
    originals = fuzz.originals()
    fates = [fuzz.fate(fuzz.mutated(originals, number)) for number in range(160)]
    reasons = [reason for reason, _ in fates]
    assert not any("\n" in reason for reason in reasons)
    assert max(seconds for _, seconds in fates) < fuzz.MOST_SECONDS
    assert 20 < sum(reason.startswith("read") for reason in reasons) < 140
    assert capfd.readouterr() == ("", "")
