"""Kills at random moments: whatever dies, the same command ends as if nothing had happened.

Runs a small suite undisturbed, then again and again in stores of their own: at a random moment the
driver, a worker or the raylet is killed (`--kills`), or the driver is asked to end (`--terms`), and
the command is repeated until it is done. Then the records must be those of the undisturbed run but
for timings; no work folders, locks, processes or running MLflow runs may be left, and no output of
more than lines of ours. Run from the repository's root, on an idle machine:
`python -m experiments.benchmarks.faults.kill_matrix --kills 30 --terms 10`.
The seed decides the moments.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

SUITE = """
suite: killed
question: Is anything lost?
base:
  data: {kind: fluent_scenes, resolution: 32, train: 96, validation: 48}
  tokenizer:
    {budgets: [1, 2, 4], width: 32, encoder_depth: 1, decoder_depth: 1, lora: {rank: 2, alpha: 1.0}}
  training: {steps: 150, batch: 8, warmup_steps: 5, checkpoint_every: 10}
  bank: {extractor_resolution: 32, shard: 24}
arms:
  - name: elastic
  - name: policy
    set:
      policy: {candidates: [1, 2, 4], steps: 100, batch: 32}
      policy.weighting: {kind: constraint, mean_budget: 2}
    sweep: {policy.seed: [0, 1]}
"""
PROGRAM = Path(sys.executable).with_name("adatok-bench")
TIMINGS = {"seconds", "throughput", "stages", "provenance", "policy_time_share"}
OURS = re.compile(
    r"(to compute|\d+ stages |  \S|images of |warning: |error: |failed: |interrupted; |MLflow: )"
)
NAMES = {"driver": "", "worker": "ray::Resource", "raylet": "raylet"}
ENDS = {signal.SIGKILL: {1, 2, -signal.SIGKILL}, signal.SIGTERM: {143}}


@dataclass(frozen=True)
class Blow:
    """A signal to `victim` after `share` of the seconds that an undisturbed run takes."""

    executor: str
    victim: str
    signal: signal.Signals
    share: float


def blows(kills: int, terms: int, seed: int) -> Iterator[Blow]:
    """The blows of a seed: victims in turn, moments at random."""
    random_ = random.Random(seed)
    victims = [("serial", "driver"), ("ray", "worker"), ("ray", "raylet"), ("ray", "driver")]
    for number in range(kills):
        yield Blow(*victims[number % len(victims)], signal.SIGKILL, random_.uniform(0.1, 0.9))
    for number in range(terms):
        executor = ("serial", "ray")[number % 2]
        yield Blow(executor, "driver", signal.SIGTERM, random_.uniform(0.1, 0.9))


def start(store: Path, suite: Path, executor: str, log: Path) -> psutil.Popen:
    """The command, writing to `log`."""
    command = [PROGRAM, "run", suite, "--store", store, "--executor", executor]
    with log.open("wb") as file:
        return psutil.Popen([*map(str, command)], stdout=file, stderr=file, start_new_session=True)


def strike(driver: psutil.Popen, blow: Blow, seconds: float) -> list[psutil.Process] | None:
    """Wait for the moment, then for the victim; all processes below the driver if it was hit."""
    with suppress(psutil.TimeoutExpired):
        driver.wait(blow.share * seconds)
    while driver.poll() is None:
        with suppress(psutil.NoSuchProcess):
            below = driver.children(recursive=True)
            for process in [driver] if blow.victim == "driver" else below:
                if process.name().startswith(NAMES[blow.victim]):
                    process.send_signal(blow.signal)
                    return below
        time.sleep(0.05)
    return None


def records(store: Path) -> dict[str, Any]:
    """All records by file, without what was timed."""
    found = sorted((store / "records").glob("*/*.json"))
    return {path.name: _untimed(json.loads(path.read_text("utf-8"))) for path in found}


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _untimed(item)
            for name, item in value.items()
            if name not in TIMINGS and not name.endswith("images_per_second")
        }
    return [_untimed(item) for item in value] if isinstance(value, list) else value


def held(lock: Path) -> bool:
    """Whether a living process has a lock."""
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def left_behind(store: Path, processes: list[psutil.Process]) -> Iterator[str]:
    """What a finished run should not have left."""
    from mlflow import MlflowClient

    _, living = psutil.wait_procs(processes, timeout=20)
    yield from (f"process {process.pid} {process.name()}" for process in living)
    yield from (str(path) for path in (store / "work").iterdir())
    yield from (f"held {path}" for path in (store / "locks").iterdir() if held(path))
    yield from map(str, Path(os.environ["TMPDIR"]).glob("adatok-ray-*"))
    client = MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("killed")
    for run in client.search_runs([experiment.experiment_id]):
        if run.info.status != "FINISHED":
            yield f"MLflow run {run.info.run_name} {run.info.status}"


def strange_lines(log: Path) -> Iterator[str]:
    """Lines of stderr and stdout that are not ours, or too long to be read at once."""
    for line in log.read_text("utf-8").splitlines():
        if not re.match(r"(report|records|MLflow|on a plateau:) ", line) and not OURS.match(line):
            yield line[:200]


def disturbed(blow: Blow, folder: Path, suite: Path, seconds: float) -> tuple[bool, list[str]]:
    """Whether a run was hit, and all that is wrong after it was repeated to its end."""
    store, log = folder / "store", folder / "log.txt"
    driver = start(store, suite, blow.executor, log)
    below = strike(driver, blow, seconds)
    code = driver.wait(600)
    faults = list(strange_lines(log))
    if below is not None and code not in ENDS[blow.signal] | {0}:
        faults.append(f"exit code {code}")
    while code != 0 and len(faults) < 5:
        again = start(store, suite, blow.executor, log)
        code = again.wait(600)
        faults += [*strange_lines(log), *([f"exit code {code}"] if code else [])]
    return below is not None, [*faults, *left_behind(store, below or [])]


def main() -> None:
    """Run the blows that the options name, a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--terms", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="km-", dir="/tmp"))  # Ray takes no long paths.
    os.environ["TMPDIR"] = str(folder)  # Others on this machine may be killed meanwhile, too.
    suite = folder / "suite.yaml"
    suite.write_text(SUITE, encoding="utf-8")
    seconds = {}
    for executor in ("serial", "ray"):
        began = time.monotonic()
        log = folder / f"{executor}.txt"
        assert start(folder / executor, suite, executor, log).wait() == 0, log.read_text()
        seconds[executor] = time.monotonic() - began
    # Threads differ between executors, and with them the last digits of a Fréchet distance.
    expected = {executor: records(folder / executor) for executor in seconds}
    faulty = hits = 0
    for number, blow in enumerate(blows(options.kills, options.terms, options.seed)):
        place = folder / f"blow-{number}"
        place.mkdir()
        hit, faults = disturbed(blow, place, suite, seconds[blow.executor])
        if records(place / "store") != expected[blow.executor]:
            faults.append("other records")
        hits += hit
        faulty += bool(faults)
        at = f"{blow.signal.name} to {blow.victim} at {blow.share:.2f}"
        told = "; ".join(faults) or "as before"
        print(f"{blow.executor:6} {at:28} {'hit' if hit else 'missed':6} {told}", flush=True)
        if not faults:
            shutil.rmtree(place)
    print(f"{hits} of {options.kills + options.terms} hit, {faulty} with faults; logs: {folder}")
    sys.exit(bool(faulty))


if __name__ == "__main__":
    main()
