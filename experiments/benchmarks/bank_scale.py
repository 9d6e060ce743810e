"""Banks and evaluation at scale, held against their bounds; prints one JSON.

    form    a bank of TiTok's shape without latents: bytes an image, peak disk, bytes read at its
            end
    kernel  the kernel distance with its interval by the Fréchet distance, at n images and at 2n
    suite   records of a thousand classes through prepare, train, a policy's bank, policy and
            evaluation
    latents policies from pooled latents beside such from all of them, three seeds of each

Run from the repository's root, with `OMP_NUM_THREADS=1` (`kernel` with 2 as well):
`python -m experiments.benchmarks.bank_scale form kernel suite`;
`suite --records 128000 --policy-images 5000` is a tenth of ImageNet.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import torch
import yaml

from bench.artifacts.bank import Bank
from bench.data.image_set import ImageSet
from bench.judging.feature_reference import FeatureReference
from bench.metrics.allocation_frechet import AllocationFrechet
from bench.metrics.extractors import EXTRACTORS
from bench.metrics.features import ChosenFeatures
from bench.records.reading import read_suite
from bench.stages.banks.table import write_table
from bench.stages.banks.taken import TakenImages
from bench.store.row_arrays import RowArrays
from experiments.benchmarks.data_scale import write_records
from experiments.benchmarks.frechet_scale import write_features

BUDGETS, TOKENS, SHARD = [32, 64, 96, 128, 160, 192, 224, 256], 256, 1024
MIB = 2**20
CLASSES = 1000


def form(options: argparse.Namespace) -> dict[str, object]:
    """Arrays of random values at full shape, written as a bank's are, and its table."""
    count = options.images
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "id": [f"n{row % CLASSES:08d}/n{row % CLASSES:08d}_{row}.JPEG" for row in range(count)],
            "sha256": [random.bytes(32).hex() for _ in range(count)],
            "label": np.arange(count) % CLASSES,
            "label_name": [f"n{row % CLASSES:08d}" for row in range(count)],
            "complexity": np.nan,
            "file_sha256": [random.bytes(32).hex() for _ in range(count)],
            "file_size": random.integers(10**4, 10**6, count),
            "width": random.integers(200, 600, count),
            "height": random.integers(200, 600, count),
        }
    )
    pixels = np.empty((count, 0), np.uint8)
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder, began = Path(place), time.perf_counter()
        arrays, used = RowArrays(folder, count), 0
        for first in range(0, count, SHARD):
            rows = min(SHARD, count - first)
            errors = random.random((3, rows, len(BUDGETS)), np.float32)
            ids = random.integers(0, 4096, (rows, TOKENS)).astype(np.uint16)
            measured = dict(zip(("mse", "psnr", "ssim"), errors, strict=True))
            arrays.write(first, {"ids": ids, **measured})
            used = max(used, _disk(folder))
        written, before = time.perf_counter(), _read()
        names = arrays.names()
        arrays.finish()
        read = _read() - before
        metrics = {name: arrays.array(name) for name in names if name != "ids"}
        images = TakenImages(ImageSet(pixels, table), np.arange(count))
        write_table(folder / "images.parquet", images, BUDGETS, metrics)
        size = _disk(folder)
        by_file = {path.name: path.stat().st_size / count for path in sorted(folder.iterdir())}
        return {
            "images": count,
            "bytes_an_image": round(sum(by_file.values())),
            "of_files": {name: round(size) for name, size in by_file.items()},
            "peak_disk_by_its_end": round(max(used, size) / size, 4),
            "bytes_read_to_put_arrays_together": read,
            "seconds_of_arrays": round(written - began, 1),
            "seconds_of_table": round(time.perf_counter() - written, 1),
        }


def _disk(folder: Path) -> int:
    """Bytes on the disk: holes are none."""
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


def _read() -> int:
    return int(psutil.Process().io_counters().read_chars)


def kernel(options: argparse.Namespace) -> dict[str, object]:
    """Seconds of both distances of an allocation, their reference's sides being there."""
    found: dict[str, Any] = {}
    for count in (options.features, 2 * options.features):
        with tempfile.TemporaryDirectory(dir=options.folder) as place:
            folder = Path(place)
            write_features(folder, images=count, budgets=2, dimension=options.dimension)
            load = partial(np.load, folder / "features.npy", mmap_mode="r")
            reference = FeatureReference(
                np.load(folder / "originals.npy", mmap_mode="r"),
                extractor=EXTRACTORS["inception"],
                metrics=EXTRACTORS["inception"].feature_metrics(),
            )
            chosen = np.random.default_rng(0).integers(0, 2, count)
            compare = partial(reference.kernel, ChosenFeatures(load, chosen))
            first, found_kernel = _timed(compare)
            allocations = AllocationFrechet(load, reference.frechet)
            frechet, _ = _timed(partial(allocations.distance, chosen))
            again, _ = _timed(compare)
            found[str(count)] = {
                "frechet": frechet,
                "kernel": again,
                "kernel_with_its_reference": first,
                "kernel_by_frechet": round(again["cpu"] / frechet["cpu"], 2),
                **found_kernel,
            }
    small, large = found.values()
    found["kernel_at_2n_by_n"] = round(large["kernel"]["cpu"] / small["kernel"]["cpu"], 2)
    return {"dimension": options.dimension, "threads": torch.get_num_threads(), **found}


def _timed(function: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    value = function()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall": round(wall, 2), "cpu": round(cpu, 2)}, value


def suite(options: argparse.Namespace) -> dict[str, object]:
    """A tiny suite on tar shards, serially; memory of every process that there was."""
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder = Path(place)
        write_records(folder / "train", options.records, classes=CLASSES)
        write_records(folder / "validation", 2 * CLASSES, classes=CLASSES)
        content = _suite(folder, options)
        began, peaks = time.perf_counter(), _run(folder, content)
        stages = folder / "store"
        described = [json.loads(path.read_bytes()) for path in stages.glob("*/*/stage.json")]
        (bank,) = (
            Bank.read(path.parent)
            for path in stages.glob("bank/*/bank.json")
            if json.loads(path.read_bytes())["purpose"] == "policy"
        )
        labels = bank.image_table("label")["label"].to_numpy()
        counts = np.bincount(labels, minlength=CLASSES)
        size = sum(path.stat().st_size for path in bank.path.iterdir())
        return {
            "records": options.records,
            "seconds": round(time.perf_counter() - began, 1),
            "peak_mib_by_process": [round(peak / MIB) for peak in sorted(peaks.values())[::-1][:4]],
            "stages": {
                f"{one['stage']}-{one['key'][:4]}": {
                    "seconds": round(one["seconds"], 1),
                    "peak_mib_so_far": round(one["peak_memory_bytes"] / MIB),
                }
                for one in sorted(described, key=lambda one: one["peak_memory_bytes"])
            },
            "sample": {
                "images": len(labels),
                "classes": int((counts > 0).sum()),
                "furthest_from_proportional": round(
                    float(np.abs(counts - len(labels) / CLASSES).max()), 3
                ),
                "classes_of_the_first_1024": len(np.unique(labels[:1024])),
                "bytes_an_image": round(size / len(labels)),
            },
        }


def _suite(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    budgets = [1, 2, 4]
    return {
        "suite": "bank_scale",
        "question": "What does a bank of a large set cost?",
        "reports": [],
        "base": {
            "data": {
                "kind": "webdataset",
                "train": f"{folder}/train/*.tar",
                "validation": f"{folder}/validation/*.tar",
                "resolution": 32,
            },
            "tokenizer": {
                "budgets": budgets,
                "width": 16,
                "encoder_depth": 1,
                "decoder_depth": 1,
                "attention_heads": 2,
                "quantizer": {"kind": "fsq", "levels": [5, 5]},
            },
            "training": {"steps": 50, "batch": 32, "warmup_steps": 5, "log_every": 25},
            "bank": {"policy_images": options.policy_images, "extractor_resolution": 32},
            "evaluation": {"heuristics": True},
        },
        "arms": [
            {"name": "policy", "set": {"policy": {"candidates": budgets, "steps": 100}}},
        ],
        "resources": {"manifest": {"cpus": options.workers}},
    }


def latents(options: argparse.Namespace) -> dict[str, object]:
    """Tokens, error, skill and distance of policies on all latents and on pooled ones."""
    content = yaml.safe_load(Path("experiments/policy_inputs.yaml").read_text("utf-8"))
    base, (first, *_) = content["base"], content["arms"]
    base["data"] |= {"train": 4000, "validation": 1000, "calibration": 1000}
    base["training"] |= {"steps": options.steps}
    base["bank"] |= {"policy_images": 3000, "extractor_resolution": 32}
    pooled = {"all": None, "4": 4, "1": 1}
    content |= {
        "reference_arm": "all",
        "arms": [
            {**first, "name": name, "set": {**first["set"], "bank.latents": count}}
            for name, count in pooled.items()
        ],
    }
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder = Path(place)
        _run(folder, content)
        records = read_suite(folder / "store" / "records" / content["suite"]).records
    names = ("mean_tokens", "mse", "allocation_skill", "fd_lite0")
    return {
        arm: {
            name: [round(one.metrics.value(name), 6) for one in records if one.arm == arm]
            for name in names
        }
        for arm in pooled
    }


def _run(folder: Path, content: dict[str, object]) -> dict[int, int]:
    """Run a suite serially; the largest resident set of each process that there was."""
    (folder / "suite.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    command = "from bench.commands.cli import main; main()"
    arguments = ["run", f"{folder}/suite.yaml", "--store", f"{folder}/store"]
    run = subprocess.Popen(
        [sys.executable, "-c", command, *arguments, "--executor", "serial"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    peaks: dict[int, int] = {}
    watching = threading.Thread(target=_watch, args=(run.pid, peaks), daemon=True)
    watching.start()
    said, _ = run.communicate()
    if run.returncode:
        raise SystemExit(said)
    return peaks


def _watch(pid: int, peaks: dict[int, int]) -> None:
    """Note the largest resident set of a process and of its children while they live."""
    try:
        root = psutil.Process(pid)
        while root.is_running():
            for process in (root, *root.children(recursive=True)):
                try:
                    peaks[process.pid] = max(peaks.get(process.pid, 0), process.memory_info().rss)
                except psutil.Error:
                    continue
            time.sleep(0.2)
    except psutil.Error:
        return


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, object]]] = {
    "form": form,
    "kernel": kernel,
    "suite": suite,
    "latents": latents,
}


def main() -> None:
    """Print the figures of the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--images", type=int, default=50_000, help="of the bank's form")
    parser.add_argument("--features", type=int, default=25_000, help="n of the distances")
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--records", type=int, default=1_280_000)
    parser.add_argument("--policy-images", type=int, default=50_000)
    parser.add_argument("--steps", type=int, default=1000, help="of the tokenizer of `latents`")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where all is put for the time")
    options = parser.parse_args()
    figures: dict[str, Any] = {"load": os.getloadavg()[0]}
    for part in options.parts:
        figures[part] = PARTS[part](options)
    figures["load_after"] = os.getloadavg()[0]
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
