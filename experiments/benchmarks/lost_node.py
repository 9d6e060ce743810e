"""A node that is taken away: Ray on three nodes of this machine, one of them removed in mid-trial.

A suite of three tokenizers runs on a cluster (`ray.cluster_utils.Cluster`) of a head without CPUs
and two nodes with one each. When both train, the node of one is removed: the run must go on by
itself. With `--kill-driver` the driver is then killed with -9, and the command is repeated. The
records must be those of an undisturbed run, after at most `checkpoint_every` steps done twice for
each interruption. Run from the repository's root: `python -m experiments.benchmarks.lost_node`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ray
from ray.cluster_utils import Cluster
from safetensors import safe_open

from experiments.benchmarks.kill_matrix import PROGRAM, SUITE, records

CHECKPOINT_EVERY, STEPS = 20, 1500
SEEDS = 3


def suite_text() -> str:
    """The suite of the kills, with tokenizers that take a while and nothing but curves."""
    text = SUITE.replace("steps: 150", f"steps: {STEPS}")
    text = text.replace(
        "checkpoint_every: 10", f"checkpoint_every: {CHECKPOINT_EVERY}, log_every: 1"
    )
    head = text.partition("arms:")[0]
    return f"{head}arms:\n  - name: elastic\n    sweep: {{training.seed: {list(range(SEEDS))}}}\n"


def start(store: Path, suite: Path, log: Path, *more: str) -> subprocess.Popen[bytes]:
    """The command, writing to `log`."""
    command = [str(PROGRAM), "run", str(suite), "--store", str(store), *more]
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=file)


def steps(store: Path) -> dict[str, int]:
    """How far the tokenizers that train now are, by their keys."""
    found = {}
    for path in (store / "work").glob("tokenizer-*/progress.json"):
        try:
            found[path.parent.name] = json.loads(path.read_text())["done"]
        except (OSError, ValueError):
            continue
    return found


def lost(store: Path) -> dict[str, int]:
    """Steps that have been told and lie behind the last checkpoint, by the tokenizers' keys."""
    found = {}
    for name, step in steps(store).items():
        try:
            path = store / "work" / name / "checkpoint.safetensors"
            with safe_open(path, framework="pt") as file:
                found[name] = step - int(json.loads(file.metadata()["about"])["step"])
        except FileNotFoundError:
            continue  # Its training has ended meanwhile.
    return found


def wait_until(condition: Callable[[], bool], run: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for something that happens before the run ends."""
    while not condition():
        assert run.poll() is None, log.read_text()
        time.sleep(0.05)


def main() -> None:
    """Run the suite undisturbed, then on a cluster from which a node is taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kill-driver", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ln-", dir="/tmp"))
    os.environ |= {"TMPDIR": str(folder), "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    suite = folder / "suite.yaml"
    suite.write_text(suite_text(), encoding="utf-8")
    alone = start(folder / "alone", suite, folder / "alone.txt", "--executor", "serial")
    assert alone.wait() == 0, (folder / "alone.txt").read_text()
    small = {"object_store_memory": 100 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=100 << 20) for _ in range(2)]
    cluster.wait_for_nodes()
    store, log = folder / "store", folder / "run.txt"
    command = (store, suite, log, "--ray-address", cluster.address)
    began = time.monotonic()
    run = start(*command)

    def train(count: int) -> bool:
        return len(steps(store)) >= count and min(steps(store).values()) >= 3 * CHECKPOINT_EVERY

    wait_until(lambda: train(2), run, log)
    cluster.remove_node(nodes[0], allow_graceful=False)
    redone = lost(store)
    print(f"a node removed {time.monotonic() - began:.0f} s after the start; steps lost: {redone}")
    wait_until(lambda: "goes on from its checkpoint" in log.read_text(), run, log)
    said, interruptions = log.read_text(), 1
    if options.kill_driver:
        wait_until(lambda: train(1), run, log)  # There is one CPU left.
        run.send_signal(signal.SIGKILL)
        run.wait()
        redone |= {f"{name} again": count for name, count in lost(store).items()}
        print(f"the driver killed after {time.monotonic() - began:.0f} s; steps lost: {redone}")
        run, interruptions = start(*command), 2
    code = run.wait(timeout=900)
    cluster.shutdown()
    ray.shutdown()
    assert code == 0, log.read_text()
    print("\n".join(line for line in said.splitlines() if "goes on from" in line))
    same = records(store) == records(folder / "alone")
    attempts = sorted(
        len(json.loads(path.read_text())["attempts"])
        for path in store.glob("tokenizer/*/stage.json")
    )
    print(
        f"ended after {time.monotonic() - began:.0f} s with code {code}; records equal: {same}; "
        f"attempts at the tokenizers: {attempts}; logs: {folder}"
    )
    assert same
    assert max(redone.values()) <= CHECKPOINT_EVERY
    assert sum(attempts) == SEEDS + interruptions


if __name__ == "__main__":
    main()
