"""A node that is taken away: Ray on three nodes of this machine, one of them removed in mid-trial.

A suite of three tokenizers runs on a cluster (`ray.cluster_utils.Cluster`) of a head without CPUs
and two nodes with one each. When both train, the node of one is removed: the run must end by itself
with the records of an undisturbed one, after at most `checkpoint_every` steps done twice. Run from
the repository's root: `python -m experiments.benchmarks.lost_node`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from experiments.benchmarks.kill_matrix import PROGRAM, SUITE, records

CHECKPOINT_EVERY, STEPS = 20, 1500
SEEDS = 3


def suite_text() -> str:
    """The suite of the kills, with tokenizers that take a while and nothing but curves."""
    text = SUITE.replace("steps: 150", f"steps: {STEPS}")
    text = text.replace("checkpoint_every: 10", f"checkpoint_every: {CHECKPOINT_EVERY}")
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


def main() -> None:
    """Run the suite twice, and take a node from the second run."""
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
    began = time.monotonic()
    run = start(store, suite, log, "--ray-address", cluster.address)
    while len(steps(store)) < 2 or min(steps(store).values()) < 3 * CHECKPOINT_EVERY:
        assert run.poll() is None, log.read_text()
        time.sleep(0.1)
    cluster.remove_node(nodes[0], allow_graceful=False)
    print(f"a node removed at steps {steps(store)}, {time.monotonic() - began:.0f} s after start")
    code = run.wait(timeout=900)
    said = log.read_text()
    cluster.shutdown()
    ray.shutdown()
    assert code == 0, said
    lines = [line for line in said.splitlines() if "goes on from its checkpoint" in line]
    print("\n".join(lines))
    same = records(store) == records(folder / "alone")
    attempts = [
        len(json.loads(path.read_text())["attempts"])
        for path in store.glob("tokenizer/*/stage.json")
    ]
    print(
        f"ended after {time.monotonic() - began:.0f} s with code {code}; records equal: {same}; "
        f"attempts at the tokenizers: {sorted(attempts)}; logs: {folder}"
    )
    assert same
    assert lines
    assert sorted(attempts) == [1] * (SEEDS - 1) + [2]
    sys.exit(code)


if __name__ == "__main__":
    main()
