"""Cost of training one policy whose features are a memory-mapped bank.

Makes a synthetic bank in a temporary folder and trains policies of the default size from it: one
alone, then `--workers` at once, each in its own process. Run from the repository's root, with
`OMP_NUM_THREADS=1`: `python -m experiments.benchmarks.policy_bank --workers 2`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

from adatok_core.config import ConstraintWeighting, PolicyConfig
from adatok_core.policy_training import PolicyTrainer
from adatok_core.rewards import RewardTable
from bench.memory import keep_freed_memory

BUDGETS = (1, 2, 4, 8, 16, 32, 64, 128)
CHUNK = 1000
MIB = 2**20


def write_bank(folder: Path, *, images: int, width: int) -> None:
    """Latents `[images, 128, width]`, float16, and distortions `[images, 8]`, float32.

    How slowly an image's distortion falls depends on the first feature of its latents.
    """
    shape = (images, BUDGETS[-1], width)
    latents = np.lib.format.open_memmap(
        folder / "latents.npy", mode="w+", dtype=np.float16, shape=shape
    )
    mse = np.empty((images, len(BUDGETS)), np.float32)
    random = np.random.default_rng(0)
    for first in range(0, images, CHUNK):
        last = min(first + CHUNK, images)
        complexity = random.random((last - first, 1), np.float32)
        block = random.standard_normal((last - first, *shape[1:]), np.float32)
        block[:, :, 0] += 6 * (complexity - 0.5)
        latents[first:last] = block
        rate = 1 + 40 * complexity
        mse[first:last] = (0.2 + complexity) * np.exp(-np.array(BUDGETS) / rate)
    latents.flush()
    np.save(folder / "mse.npy", mse)


def train(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Train one policy from the bank; what it took and where it ended."""
    keep_freed_memory()
    memory = Memory()
    latents = np.load(folder / "latents.npy", mmap_mode="r")
    mse = torch.from_numpy(np.load(folder / "mse.npy"))
    reading = 0.0

    def load(images: torch.Tensor) -> torch.Tensor:
        nonlocal reading
        began = time.perf_counter()
        if options.order == "sorted":
            rows, inverse = np.unique(images.numpy(), return_inverse=True)
            features = torch.from_numpy(latents[rows])[torch.from_numpy(inverse)]
        else:
            features = torch.from_numpy(latents[images.numpy()])
        reading += time.perf_counter() - began
        return features

    config = PolicyConfig(
        candidates=BUDGETS,
        weighting=ConstraintWeighting(mean_budget=32),
        steps=options.steps,
        batch=options.batch,
    )
    began, computed = time.perf_counter(), time.process_time()
    with memory:
        trainer = PolicyTrainer(
            config,
            load=load,
            length=latents.shape[1],
            width=latents.shape[2],
            rewards=RewardTable.of(mse, BUDGETS, max_tokens=BUDGETS[-1]),
            mse=mse,
        )
        for _ in trainer.run():
            pass
        trainer.trained_policy()
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "seconds_cpu": round(time.process_time() - computed, 1),
        "seconds_reading": round(reading, 1),
        "monitor_tokens": round(trainer.history[-1]["monitor_tokens"], 2),
        **{f"peak_{name}_mib": round(peak / MIB) for name, peak in memory.peaks.items()},
    }


class Memory:
    """Peaks of this process's memory, in bytes as `memory_now` counts it, while it is entered."""

    def __init__(self):
        self.peaks = dict.fromkeys(memory_now(), 0)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.stop.wait(0.5):
            for name, value in memory_now().items():
                self.peaks[name] = max(self.peaks[name], value)


def memory_now() -> dict[str, int]:
    """Resident bytes: private ones (USS), and shared ones, that others map as well.

    Pages of the bank that this process alone has mapped count as private too, but are clean: the
    kernel may drop them at any time. `own` leaves them out.
    """
    pages = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, kib = line.split()[:2]
        pages[name.rstrip(":")] = 1024 * int(kib)
    return {
        "resident": pages["Rss"],
        "private": pages["Private_Clean"] + pages["Private_Dirty"],
        "own": pages["Private_Dirty"],
        "shared": pages["Shared_Clean"] + pages["Shared_Dirty"],
    }


def together(folder: Path, options: argparse.Namespace, workers: int) -> list[dict[str, object]]:
    """`workers` policies at once, each in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        return pool.starmap(train, [(folder, options)] * workers, chunksize=1)


def main() -> None:
    """Print the figures of a policy alone and of several at once as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--order", choices=("drawn", "sorted"), default="drawn", help="of reads")
    parser.add_argument("--folder", type=Path, help="where the bank is put for the time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bank = Path(folder)
        began = time.perf_counter()
        write_bank(bank, images=options.images, width=options.width)
        figures = {
            "options": {key: value for key, value in vars(options).items() if key != "folder"},
            "bank_mib": round((bank / "latents.npy").stat().st_size / MIB),
            "seconds_writing": round(time.perf_counter() - began, 1),
            "alone": together(bank, options, 1)[0],
            "at_once": together(bank, options, options.workers),
        }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
