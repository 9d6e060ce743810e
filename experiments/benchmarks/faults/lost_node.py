"""Faults of machines: Ray on three nodes of this one, from which nodes, workers, drivers are taken.

A suite of three tokenizers runs on a cluster (`ray.cluster_utils.Cluster`) of a head without CPUs
and two nodes with one each, whose memory monitor is told to bear little more than is taken now.
When both train, the node of one is removed; then this process takes memory until Ray kills the
other's worker: the run must go on by itself both times. Then the driver is killed with -9, and the
command is repeated. The records must be those of an undisturbed run, after at most
`checkpoint_every` steps done twice for each interruption, and MLflow must have each cell and stage
once. Last, a limit (`memory_gb`) that is too low for a tokenizer fails its cell in a line; with a
higher one the same command goes on. Run from the repository's root, with 6 GB free:
`python -m experiments.benchmarks.faults.lost_node`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.cluster_utils import Cluster
from safetensors import safe_open

from bench.store.curve import FILE
from experiments.benchmarks.faults.kill_matrix import PROGRAM, SUITE, records

CHECKPOINT_EVERY = 20
SEEDS = 3
# What the memory monitor bears above what is taken at the start, and a step towards that.
MARGIN_BYTES, PIECE_BYTES = 4 << 30, 128 << 20
SMALL: dict[str, Any] = {"object_store_memory": 100 << 20}


def suite_text(steps: int, *, memory_gb: float | None = None) -> str:
    """The suite of the kills, with tokenizers that take a while and nothing but curves.

    With `memory_gb` it is of the first tokenizer alone, which may take so much.
    """
    text = SUITE.replace("steps: 150", f"steps: {steps}")
    text = text.replace(
        "checkpoint_every: 10", f"checkpoint_every: {CHECKPOINT_EVERY}, log_every: 1"
    )
    head, seeds = text.partition("arms:")[0], list(range(SEEDS if memory_gb is None else 1))
    if memory_gb is not None:
        head += f"retries: 1\nresources: {{tokenizer: {{memory_gb: {memory_gb}}}}}\n"
    return f"{head}arms:\n  - name: elastic\n    sweep: {{training.seed: {seeds}}}\n"


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
    """Steps whose rows are written and lie behind the last checkpoint, by the tokenizers' keys."""
    found = {}
    for name in steps(store):
        try:
            rows = (store / "work" / name / FILE).read_text().splitlines()
            path = store / "work" / name / "checkpoint.safetensors"
            with safe_open(path, framework="pt") as file:
                saved = int(json.loads(file.metadata()["about"])["step"])
            found[name] = max(0, json.loads(rows[-1])["step"] - saved)
        except (FileNotFoundError, ValueError, IndexError):
            continue  # Its training has ended meanwhile, or a row is being written.
    return found


def attempts(store: Path) -> int:
    """How often tokenizers that are not done yet were begun."""
    files = (store / "work").glob("tokenizer-*/attempts.json")
    return sum(len(json.loads(path.read_text())) for path in files)


def wait_until(condition: Callable[[], bool], run: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for something that happens before the run ends."""
    while not condition():
        assert run.poll() is None, log.read_text()
        time.sleep(0.05)


def cluster_of_three() -> tuple[Cluster, Any]:
    """A head without CPUs and two nodes with one; the first of these two."""
    used = psutil.virtual_memory().total - psutil.virtual_memory().available
    threshold = (used + MARGIN_BYTES) / psutil.virtual_memory().total
    monitor = {
        "RAY_memory_usage_threshold": f"{threshold:.4f}",
        "RAY_memory_monitor_refresh_ms": "200",
    }
    head = {"num_cpus": 0, "include_dashboard": False, **SMALL}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1, env_vars=monitor, **SMALL) for _ in range(2)]
    cluster.wait_for_nodes()
    return cluster, nodes[0]


def take_memory(store: Path, run: subprocess.Popen[bytes], log: Path) -> dict[str, int]:
    """Take memory until a worker is killed for it, and give it back; the steps that were lost."""
    taken: list[bytearray] = []
    redone: dict[str, int] = {}
    while "killed: out of memory" not in log.read_text():
        assert run.poll() is None, log.read_text()
        assert psutil.virtual_memory().available > MARGIN_BYTES // 2, "no worker was killed"
        redone = lost(store) or redone
        taken.append(bytearray(b"1") * PIECE_BYTES)
        time.sleep(0.2)
    return redone


def mlflow_faults(store: Path) -> list[str]:
    """Runs in MLflow that have not ended, and cells and stages that are there twice."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow.db'}")
    ids = [one.experiment_id for one in client.search_experiments()]
    runs = client.search_runs(ids, max_results=1000)
    tags = [run.data.tags for run in runs]
    keys = Counter(one.get("cell_key") or one.get("stage_key") or "suite" for one in tags)
    return [
        *(
            f"{run.info.run_name} {run.info.status}"
            for run in runs
            if run.info.status != "FINISHED"
        ),
        *(f"{count} x {key}" for key, count in keys.items() if count > 1),
    ]


def disturb(cluster: Cluster, node: Any, folder: Path, suite: Path) -> dict[str, int]:
    """Run the suite through all three faults to its end; the steps that each of them has lost."""
    store, log = folder / "store", folder / "run.txt"
    command = (store, suite, log, "--ray-address", cluster.address)

    def train(count: int) -> bool:
        return len(steps(store)) >= count and min(steps(store).values()) >= 3 * CHECKPOINT_EVERY

    def goes_on(times: int) -> bool:
        return log.read_text().count("goes on from its checkpoint (retry") >= times

    redone: dict[str, int] = {}
    run = start(*command)
    wait_until(lambda: train(2), run, log)
    cluster.remove_node(node, allow_graceful=False)
    redone |= {f"node: {name}": count for name, count in lost(store).items()}
    wait_until(lambda: goes_on(1) and train(1), run, log)  # There is one CPU left.
    redone |= {f"memory: {name}": count for name, count in take_memory(store, run, log).items()}
    # A worker has begun anew: what the one before has told is removed by then.
    wait_until(lambda: goes_on(2) and attempts(store) > 2 and train(1), run, log)
    print("\n".join(line for line in log.read_text().splitlines() if "goes on from" in line))
    run.kill()
    run.wait()
    redone |= {f"driver: {name}": count for name, count in lost(store).items()}
    code = start(*command).wait(timeout=900)
    assert code == 0, log.read_text()
    return redone


def limited(folder: Path, steps: int) -> None:
    """Fail a tokenizer that may take too little memory, and go on when it may take more."""
    head = {"num_cpus": 1, "include_dashboard": False, **SMALL}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    suite, store = folder / "limited.yaml", folder / "limited"
    for memory_gb, expected in ((0.05, 1), (4, 0)):
        suite.write_text(suite_text(steps, memory_gb=memory_gb), encoding="utf-8")
        log = folder / f"limited-{memory_gb}.txt"
        code = start(store, suite, log, "--ray-address", cluster.address).wait(timeout=900)
        said = [line for line in log.read_text().splitlines() if "out of memory" in line]
        print(f"memory_gb: {memory_gb}: code {code}", *said, sep="\n  ")
        assert code == expected, log.read_text()
    expected_records = records(folder / "alone")
    assert records(store).items() <= expected_records.items()
    cluster.shutdown()


def main() -> None:
    """Run the suite undisturbed, then on a cluster with the faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500, help="of each tokenizer")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ln-", dir="/tmp"))
    os.environ |= {"TMPDIR": str(folder), "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    suite = folder / "suite.yaml"
    suite.write_text(suite_text(given.steps), encoding="utf-8")
    alone = start(folder / "alone", suite, folder / "alone.txt", "--executor", "serial")
    assert alone.wait() == 0, (folder / "alone.txt").read_text()
    cluster, node = cluster_of_three()
    began = time.monotonic()
    try:
        redone = disturb(cluster, node, folder, suite)
        store = folder / "store"
        same, faults = records(store) == records(folder / "alone"), mlflow_faults(store)
        times = sorted(
            len(json.loads(path.read_text())["attempts"])
            for path in store.glob("tokenizer/*/stage.json")
        )
        print(
            f"ended after {time.monotonic() - began:.0f} s; records equal: {same}; steps lost: "
            f"{redone}; attempts at the tokenizers: {times}; MLflow: {faults or 'in order'}; "
            f"load {os.getloadavg()[0]:.1f}; logs: {folder}",
            flush=True,
        )
        assert same
        assert not faults
        assert max(redone.values()) <= CHECKPOINT_EVERY
        assert sum(times) == SEEDS + 3
    finally:
        cluster.shutdown()
        ray.shutdown()
    limited(folder, given.steps)


if __name__ == "__main__":
    main()
