"""Two drivers on one store: they compute together what one alone computes, and each stage once.

A suite of four tokenizers runs alone, then twice at the same time on one store: both drivers
serial, then one serial and one of Ray. All must end with exit code 0 and the records of the first
run; the stages that the two have computed together must be those of one driver, and MLflow must
have each of them once after `sync`. Run from the repository's root:
`python -m experiments.benchmarks.faults.shared_store`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from experiments.benchmarks.faults.kill_matrix import PROGRAM, SUITE, records, start
from experiments.benchmarks.faults.lost_node import mlflow_faults

COMPUTED = re.compile(r"^  (\S+-[0-9a-f]{16}) computed after", re.MULTILINE)
PAIRS = (("serial", "serial"), ("serial", "ray"))


def suite_text(steps: int) -> str:
    """The suite of the kills, of four tokenizers."""
    head = SUITE.replace("steps: 150", f"steps: {steps}").partition("arms:")[0]
    return f"{head}arms:\n  - name: elastic\n    sweep: {{training.seed: [0, 1, 2, 3]}}\n"


def together(executors: tuple[str, ...], folder: Path, suite: Path) -> list[Counter[str]]:
    """What each of the drivers on one store says that it has computed."""
    folder.mkdir()
    logs = [folder / f"{number}.txt" for number in range(len(executors))]
    began = time.monotonic()
    runs = [
        start(folder / "store", suite, executor, log)
        for executor, log in zip(executors, logs, strict=True)
    ]
    for run, log in zip(runs, logs, strict=True):
        assert run.wait(1200) == 0, log.read_text()
    computed = [Counter(COMPUTED.findall(log.read_text())) for log in logs]
    seconds = time.monotonic() - began
    # On a busy machine the drivers may have given MLflow up, and say so.
    sync = [str(PROGRAM), "sync", "--store", str(folder / "store")]
    subprocess.run(sync, check=True, capture_output=True)
    counts = " + ".join(str(one.total()) for one in computed)
    print(
        f"{' and '.join(executors)}: {counts} stages computed in {seconds:.0f} s, "
        f"MLflow: {mlflow_faults(folder / 'store') or 'in order'}; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return computed


def main() -> None:
    """One driver, then two of each pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100, help="of each tokenizer")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ss-", dir="/tmp"))
    os.environ |= {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    suite = folder / "suite.yaml"
    suite.write_text(suite_text(given.steps), encoding="utf-8")
    (alone,) = together(("serial",), folder / "alone", suite)
    for number, executors in enumerate(PAIRS):
        place = folder / f"pair-{number}"
        first, second = together(executors, place, suite)
        assert first + second == alone
        assert first
        assert second
        assert records(place / "store") == records(folder / "alone" / "store")
        assert not mlflow_faults(place / "store")
    print(f"logs: {folder}")


if __name__ == "__main__":
    main()
