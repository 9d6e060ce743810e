"""Searches: what an early end saves and costs, whether kills change one, Optuna against random.

Three parts, each with a line of figures (`--part` chooses one):

- `asha`: 24 tiny tokenizers, trained to their ends and again with an early end: training steps of
  both, and the place of the best survivor among all 24.
- `kills`: the same search, its process killed with -9 every few seconds (`--every`) and started
  again until it is done: whether trials, decisions and results are those of the undisturbed one.
- `optuna`: searches of policies on four tokenizers, distortion and mean tokens as objectives, by
  Optuna and at random, three seeds each: the hypervolume of their fronts.

Run from the repository's root: `python -m experiments.benchmarks.search`. About six minutes on two
quiet cores.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bench.graph.suite_graph import build_graph
from bench.records.record import Record
from bench.run.executors import SerialExecutor
from bench.run.runner import run_suite
from bench.statistics.pareto import hypervolume
from bench.store.store import Store
from bench.suite.loading import load_suite

SUITE = """
suite: searched
question: Which settings?
base:
  data: {kind: fluent_scenes, resolution: 32, train: 400, validation: 128}
  tokenizer:
    budgets: [1, 2, 4, 8]
    width: 16
    encoder_depth: 1
    decoder_depth: 1
    attention_heads: 2
    quantizer: {kind: fsq, levels: [8, 8, 8]}
    lora: {rank: 0}
  training: {steps: 270, batch: 8, warmup_steps: 10, log_every: 30, lengths: {full_share: 0.4}}
  bank: {extractor_resolution: 32, policy_images: 256, shard: 256}
arms: []
"""
GRID = {
    "training.learning_rate": {"choice": [1e-3, 3e-3, 1e-2, 3e-2]},
    "tokenizer.width": {"choice": [8, 16, 32]},
    "tokenizer.quantizer.levels": {"choice": [[5, 5, 5], [8, 8, 8]]},
}
# Behind the plateau on which all paint the mean colour: at step 30 none has left it.
STOP = {"scheduler": "asha", "metric": "mse", "grace": 60, "reduction": 4}
POLICIES = {
    "tokenizer.width": {"choice": [16, 32]},
    "training.learning_rate": {"choice": [3e-3, 1e-2]},
    "policy.weighting.efficiency": {"uniform": [0.05, 0.95]},
    "policy.learning_rate": {"loguniform": [1e-4, 1e-1]},
    "policy.reward.scale": {"choice": ["absolute", "relative"]},
}


def run(suite: Path, store: Path) -> list[Record]:
    """The records of a suite, computed in this process."""
    loaded, there = load_suite(suite, store=store), Store.open(store)
    executor = SerialExecutor(there)
    return run_suite(loaded, build_graph(loaded), there, executor, say=lambda line: None).records


def written(folder: Path, name: str, arm: dict[str, Any], **base: Any) -> Path:
    """A suite of one arm, with changes to the base by dotted path."""
    content = yaml.safe_load(SUITE)
    content |= {"suite": name, "arms": [{**copy.deepcopy(arm), "name": "a", "set": base}]}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def grid(folder: Path, *, early: bool, seed: int) -> Path:
    """The suite of all 24 settings, in an order drawn at random."""
    search = {"algorithm": "random", "samples": 24, "metric": {"mse": "minimize"}, "space": GRID}
    arm = {"search": {**search, "seed": seed}, **({"stop_early": STOP} if early else {})}
    seeds = {"training.seed": seed, "data.seed": seed}
    return written(folder, "early" if early else "whole", arm, **seeds)


def steps_of(record: Record) -> int:
    """Training steps that a cell of the grid took."""
    early = record.stop_early
    whole: int = record.setting("training.steps")
    return early.stopped_at if early and early.stopped_at is not None else whole


def asha(folder: Path, seed: int) -> str:
    """Steps with an early end and without, and the place of the best survivor."""
    whole = run(grid(folder, early=False, seed=seed), folder / "store-whole")
    early = run(grid(folder, early=True, seed=seed), folder / "store-early")
    order = sorted(whole, key=lambda record: record.metrics.number("mse"))
    done = [record for record in early if record.done]
    best = min(done, key=lambda record: record.metrics.number("mse"))
    place = 1 + [record.cell_key for record in order].index(best.cell_key)
    used, all_ = (sum(map(steps_of, records)) for records in (early, whole))
    values = [record.metrics.number("mse") for record in order]
    return (
        f"asha: {used} of {all_} training steps ({used / all_:.2f}), {len(done)} of {len(early)} "
        f"trained to the end, the best of them is number {place} of the grid "
        f"(mse {best.metrics.number('mse'):.5f}; grid {values[0]:.5f} to {values[-1]:.5f})"
    )


def facts(store: Path, records: list[Record]) -> Any:
    """All of a search that may not depend on kills."""
    files = [*(store / "searches").iterdir(), *(store / "halving").iterdir()]
    results = [(r.cell_key, r.status, r.error, r.metrics.root.get("mse")) for r in records]
    return [sorted((path.name, path.read_text("utf-8")) for path in files), results]


def kills(folder: Path, seed: int, every: float) -> str:
    """The search with an early end, killed again and again; against the undisturbed one."""
    suite = grid(folder, early=True, seed=seed)
    undisturbed = facts(folder / "store-early", run(suite, folder / "store-early"))
    store, count = folder / "store-killed", 0
    command = [sys.executable, "-m", "experiments.benchmarks.search", "--run", suite, store]
    while True:
        process = subprocess.Popen([*map(str, command)])
        try:
            if process.wait(every * (1 + count % 3)) == 0:
                break
            sys.exit(f"the search ended with code {process.returncode}")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            count += 1
    same = facts(store, run(suite, store)) == undisturbed
    return f"kills: {count} times -9, {'the same trials and results' if same else 'OTHER TRIALS'}"


def optuna(folder: Path, samples: int) -> str:
    """Hypervolumes of two objectives by Optuna and at random, three seeds each."""
    found: dict[tuple[int, str], list[tuple[float, float]]] = {}
    counts: dict[tuple[int, str], int] = {}
    for seed in range(3):
        for algorithm in ("random", "optuna"):
            search = {
                **{"algorithm": algorithm, "samples": samples, "seed": seed, "space": POLICIES},
                "metric": {"mse": "minimize", "mean_tokens": "minimize"},
                **({"startup": 8, "pending": 2} if algorithm == "optuna" else {}),
            }
            policy = {
                "candidates": [1, 2, 4, 8],
                "steps": 60,
                "batch": 64,
                "weighting": {"kind": "fixed", "efficiency": 0.5},
            }
            training = {"training.steps": 600, "training.batch": 16}
            suite = written(
                folder, f"{algorithm}{seed}", {"search": search}, policy=policy, **training
            )
            records = [record for record in run(suite, folder / "store-optuna") if record.done]
            counts[seed, algorithm] = len(records)
            found[seed, algorithm] = [
                (record.metrics.number("mse"), record.metrics.number("mean_tokens"))
                for record in records
            ]
    worst = [max(each) for each in zip(*(p for each in found.values() for p in each), strict=True)]
    least = [min(each) for each in zip(*(p for each in found.values() for p in each), strict=True)]
    areas = {
        of: hypervolume(
            [[_share(v, a, b) for v, a, b in zip(p, least, worst, strict=True)] for p in points],
            [0.0, 0.0],
        )
        for of, points in found.items()
    }
    lines = [
        f"seed {seed}: optuna {areas[seed, 'optuna']:.4f}, random {areas[seed, 'random']:.4f}"
        for seed in range(3)
    ]
    wins = sum(areas[seed, "optuna"] >= areas[seed, "random"] for seed in range(3))
    done = f"{min(counts.values())} to {max(counts.values())} of {samples} done"
    return f"optuna: {'; '.join(lines)}; as good or better in {wins} of 3 ({done})"


def _share(value: float, least: float, worst: float) -> float:
    """1 for the best value of all searches, 0 for the worst."""
    return (worst - value) / (worst - least)


def main() -> None:
    """Run the parts that the options name, a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["asha", "kills", "optuna"], action="append")
    parser.add_argument(
        "--seed", type=int, default=0, help="Of the grid: images, trainings, order."
    )
    parser.add_argument("--every", type=float, default=8.0, help="Seconds between kills.")
    parser.add_argument("--samples", type=int, default=24, help="Of each search of policies.")
    parser.add_argument("--folder", type=Path, help="Keeps the stores, and goes on from them.")
    parser.add_argument("--run", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(*options.run)
        return
    folder = options.folder or Path(tempfile.mkdtemp(prefix="search-"))
    folder.mkdir(parents=True, exist_ok=True)
    parts = {
        "asha": partial(asha, folder, options.seed),
        "kills": partial(kills, folder, options.seed, options.every),
        "optuna": partial(optuna, folder, options.samples),
    }
    for name, part in parts.items():
        if not options.part or name in options.part:
            began, cpu = time.monotonic(), os.times()
            line, now = part(), os.times()
            spent = now.user + now.children_user - cpu.user - cpu.children_user
            took = f"{time.monotonic() - began:.0f} s, {spent:.0f} s of CPU"
            print(f"{line}; {took}, load {os.getloadavg()[0]:.1f}", flush=True)
    print(json.dumps({"folder": str(folder)}))


if __name__ == "__main__":
    main()
