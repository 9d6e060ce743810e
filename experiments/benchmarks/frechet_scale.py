"""Cost of Fréchet distances of many allocations over one large bank.

Writes synthetic features in a temporary folder, then times, in a fresh process: the reference side;
one allocation; a sweep, the equal-slope allocations of many prices, from nearly all images at the
least budget to nearly all at the largest, so that each shares most images with the one before; and
allocations drawn at random, which share nothing worth sharing: the worst case. Run from the
repository's root, with `OMP_NUM_THREADS` set to the threads to use:
`python -m experiments.benchmarks.frechet_scale --budgets 8`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import resource
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from bench.metrics.allocation_frechet import AllocationFrechet
from bench.metrics.frechet import FrechetReference, gaussian_statistics

CHUNK = 500
MIB = 2**20


def write_features(folder: Path, *, images: int, budgets: int, dimension: int) -> None:
    """Originals `[images, dimension]`, and reconstructions `[images, budgets, dimension]`.

    Originals are correlated and skewed; errors halve from budget to budget, for some images sooner
    than for others. Float32, written plainly: nothing stays mapped.
    """
    random = np.random.default_rng(0)
    scale = np.exp(-np.arange(dimension) / (dimension / 6))
    mix = random.standard_normal((dimension, dimension), np.float32) * scale.astype(np.float32)
    errors = (0.5 ** np.arange(budgets, dtype=np.float32))[:, None]
    with (
        _opened(folder / "originals.npy", (images, dimension)) as originals,
        _opened(folder / "features.npy", (images, budgets, dimension)) as features,
    ):
        for first in range(0, images, CHUNK):
            count = min(CHUNK, images - first)
            latent = random.standard_normal((count, dimension), np.float32)
            original = np.maximum(latent @ mix.T / dimension**0.5, 0)
            noise = random.standard_normal((count, budgets, dimension), np.float32)
            noise *= errors * random.random((count, 1, 1), np.float32)
            originals.write(original.tobytes())
            features.write((original[:, None] + noise).tobytes())


def _opened(path: Path, shape: tuple[int, ...]):
    file = path.open("wb")
    header = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file


def sweep(*, images: int, budgets: int, count: int) -> list[np.ndarray]:
    """Equal-slope choices `[images]` at `count` prices of a token, from dear to cheap.

    Distortion falls exponentially, at a rate and from a level of each image's own.
    """
    random = np.random.default_rng(1)
    tokens = 2.0 ** np.arange(1, budgets + 1)
    rate = tokens[-1] * random.uniform(0.02, 0.3, (images, 1))
    distortion = random.uniform(0.2, 1.2, (images, 1)) * np.exp(-tokens / rate)
    slopes = -np.diff(distortion) / np.diff(tokens)
    prices = np.geomspace(np.quantile(slopes, 0.99), np.quantile(slopes, 0.01), count)
    return [(distortion + price * tokens).argmin(1) for price in prices]


def measure(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Seconds of each part, by the clock and of CPU, and the peak of resident memory."""
    load = partial(np.load, folder / "features.npy", mmap_mode="r")
    began = time.perf_counter()
    originals = np.load(folder / "originals.npy", mmap_mode="r")
    reference = FrechetReference(gaussian_statistics(originals))
    seconds_reference = time.perf_counter() - began

    def timed(allocations: list[np.ndarray]) -> tuple[np.ndarray, float]:
        """Seconds by the clock and of CPU, and the last distance."""
        frechet = AllocationFrechet(load, reference)
        began = np.array([time.perf_counter(), time.process_time()])
        for chosen in allocations:
            value = frechet.distance(chosen)
        return np.array([time.perf_counter(), time.process_time()]) - began, value

    neighbours = sweep(images=options.images, budgets=options.budgets, count=options.allocations)
    changed = [np.mean(a != b) for a, b in itertools.pairwise(neighbours)]
    random = np.random.default_rng(2)
    unrelated = [
        random.integers(options.budgets, size=options.images) for _ in range(options.unrelated)
    ]
    one, direct = timed([neighbours[-1]])
    together, updated = timed(neighbours)
    apart, _ = timed(unrelated)
    return {
        "seconds_reference": round(seconds_reference, 2),
        "one": _figures(one),
        "sweep": {
            "allocations": len(neighbours),
            "share_changed_mean": round(float(np.mean(changed)), 4),
            "share_changed_max": round(float(np.max(changed)), 4),
            **_figures(together, one),
            "relative_error_of_last": abs(updated / direct - 1),
        },
        "unrelated": {"allocations": len(unrelated), **_figures(apart, one)},
        "peak_resident_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _figures(seconds: np.ndarray, one: np.ndarray | None = None) -> dict[str, float]:
    """Seconds by the clock and of CPU, and how many times those of `one` they are."""
    figures = {"seconds": seconds[0], "seconds_cpu": seconds[1]}
    if one is not None:
        figures |= {"times_one": seconds[0] / one[0], "times_one_cpu": seconds[1] / one[1]}
    return {name: round(float(value), 1) for name, value in figures.items()}


def main() -> None:
    """Print the figures as JSON, with the machine's load before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--budgets", type=int, default=8)
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--allocations", type=int, default=100, help="in the sweep")
    parser.add_argument("--unrelated", type=int, default=8, help="allocations drawn at random")
    parser.add_argument("--folder", type=Path, help="where the features are put for the time")
    options = parser.parse_args()
    loads = [os.getloadavg()]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder)
        shape = {name: getattr(options, name) for name in ("images", "budgets", "dimension")}
        write_features(path, **shape)
        size = sum(file.stat().st_size for file in path.iterdir())
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            figures = pool.apply(measure, (path, options))
    loads.append(os.getloadavg())
    about = {
        "options": {key: value for key, value in vars(options).items() if key != "folder"},
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "load_average_before_and_after": loads,
        "features_mib": round(size / MIB),
    }
    print(json.dumps(about | figures, indent=2))


if __name__ == "__main__":
    main()
