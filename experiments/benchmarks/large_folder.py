"""Cost of a suite on a large folder of images: time and memory of each stage, progress told.

Makes a tree of JPEG and PNG files and runs a small suite on it through the command line, twice: the
second run finds everything done. Run from the repository's root, with `OMP_NUM_THREADS=1`:
`python -m experiments.benchmarks.large_folder --files 10000`.

A stage's peak memory is that of its worker so far, and workers are used for several stages of one
level. Pages of memory-mapped files count, though the system may drop them at any time.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from PIL import Image

from bench.data.backgrounds import BACKGROUNDS
from bench.data.fluent_scenes import render_scene

MIB = 2**20
PROGRESS = re.compile(r"(reading .*: |  \w+-\w+ )\d+ of \d+")


def write_tree(root: Path, *, files: int, size: int) -> int:
    """Scenes of `size` px in a folder per background, JPEG and PNG in turns; bytes in all."""
    written = 0
    for index in range(files):
        scene = render_scene(index, split="train", seed=0, resolution=size)
        suffix = "png" if index % 2 else "jpg"
        path = root / BACKGROUNDS[scene.label] / f"{index // 1000:04d}" / f"{index:07d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene.pixels.transpose(1, 2, 0)).save(path)
        written += path.stat().st_size
    return written


def suite_on(root: Path, options: argparse.Namespace) -> dict[str, object]:
    """A tokenizer and a policy on the tree, with images set aside to calibrate on."""
    return {
        "suite": "large_folder",
        "question": "What does a large folder of images cost?",
        "reports": ["summary"],
        "base": {
            "data": {
                "kind": "image_folder",
                "path": str(root),
                "resolution": options.resolution,
                "validation_fraction": 0.2,
                "calibration_fraction": 0.25,
            },
            "tokenizer": {
                "budgets": [2, 4, 8, 16],
                "width": 64,
                "encoder_depth": 2,
                "decoder_depth": 2,
                "lora": {"rank": 0},
            },
            "training": {
                "steps": options.steps,
                "batch": 32,
                "learning_rate": 2.0e-3,
                "warmup_steps": options.steps // 10,
            },
        },
        "arms": [
            {"name": "elastic"},
            {
                "name": "policy",
                "set": {
                    "policy": {"candidates": [2, 4, 8, 16], "steps": options.steps},
                    "policy.weighting": {"kind": "constraint", "mean_budget": 6},
                },
            },
        ],
    }


def run(suite: Path, store: Path, executor: str) -> dict[str, object]:
    """Run the suite by its command; seconds, and the lines of progress on stderr."""
    command = [Path(sys.executable).with_name("adatok-bench"), "run", suite, "--store", store]
    began = time.perf_counter()
    answer = subprocess.run(
        [*map(str, command), "--executor", executor], capture_output=True, text=True
    )
    if answer.returncode:
        raise SystemExit(answer.stderr)
    lines = answer.stderr.splitlines()
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "progress_lines": sum(PROGRESS.match(line) is not None for line in lines),
    }


def stages_of(store: Path) -> list[dict[str, object]]:
    """Time and memory of each stage, in the order in which they ended."""
    paths = sorted(store.glob("*/*/stage.json"), key=lambda path: path.stat().st_mtime_ns)
    return [
        {
            "stage": about["stage"],
            "images": about["result"].get("count"),
            "seconds": round(about["seconds"], 1),
            "peak_mib": round(about["peak_memory_bytes"] / MIB),
        }
        for about in (json.loads(path.read_text("utf-8")) for path in paths)
    ]


def main() -> None:
    """Print the figures of both runs and of every stage as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=96, help="side of the files' images in px")
    parser.add_argument("--resolution", type=int, default=64, help="of the suite's data")
    parser.add_argument("--steps", type=int, default=300, help="of the tokenizer and the policy")
    parser.add_argument("--executor", choices=("ray", "serial"), default="ray")
    parser.add_argument("--limit-mib", type=int, default=2048, help="memory of a worker")
    parser.add_argument("--folder", type=Path, help="where tree and store are put for the time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root, store, suite = (Path(folder) / name for name in ("images", "store", "suite.yaml"))
        began = time.perf_counter()
        written = write_tree(root, files=options.files, size=options.size)
        seconds_writing = round(time.perf_counter() - began, 1)
        suite.write_text(yaml.safe_dump(suite_on(root, options), sort_keys=False), "utf-8")
        first, second = (run(suite, store, options.executor) for _ in range(2))
        stages = stages_of(store)
    driver = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / MIB
    peak = max(stage["peak_mib"] for stage in stages)
    figures = {
        "options": {key: value for key, value in vars(options).items() if key != "folder"},
        "tree_mib": round(written / MIB),
        "seconds_writing": seconds_writing,
        "first_run": first,
        "second_run": second,
        "driver_peak_mib": round(driver),
        "worker_peak_mib": peak,
        "within_limit": peak <= options.limit_mib,
        "stages": stages,
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
