import resource
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from bench.memory import keep_freed_memory
kept = keep_freed_memory() if {keep} else None
for _ in range(20):
    torch.ones(12_000_000)  # 48 MB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(12_000_000)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(*, keep):
    code = FAULTS.format(keep=keep)
    kept, faults = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    return kept, int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_blocks_that_are_freed_and_taken_again_fault_no_more():
    kept, faults = run(keep=True)
    if kept == "False":
        pytest.skip("this C library has no such thresholds")
    _, otherwise = run(keep=False)
    pages = 20 * 48_000_000 / resource.getpagesize()
    assert faults < 0.1 * pages < otherwise
