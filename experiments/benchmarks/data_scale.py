"""Images at scale, held against their bounds: indices, loading, memory, preparation, resume.

Makes tar shards of tiny records and of pictures in a folder for the time, and prints one JSON. Run
on two quiet cores, from the repository's root, with `OMP_NUM_THREADS=1`:
`python -m experiments.benchmarks.data_scale`; `--records 10000 100000` is quicker, and `--records`
alone leaves tiny records out.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from adatok_core.batches import batch_indices
from bench.data.augment import Augment
from bench.data.fluent_scenes import render_scene
from bench.data.image_folder import list_images
from bench.data.sources import survey as surveying
from bench.data.sources.lazy import LazyPixels
from bench.data.sources.loading import TrainingImages, stream_of
from bench.data.sources.located import LocatedImages, locate
from bench.data.sources.places import FolderSource, ShardSource
from bench.data.sources.shard_writing import write_shards
from bench.data.sources.survey import survey
from bench.store.stage import peak_memory_bytes

IMAGENET = 1_280_000
MIB = 2**20
SIDE, BATCH = 8, 64
PER_SHARD = 10_000
SCENES = 500


def indices() -> dict[str, object]:
    """Milliseconds of a step's indices, its epoch's permutation shared by all of its steps."""
    found = {}
    for count in (10_000, IMAGENET):
        began = time.perf_counter()
        steps = range(count // 256)
        times = []
        for step in steps:
            at = time.perf_counter()
            batch_indices(step, count=count, batch=256, seed=0)
            times.append(time.perf_counter() - at)
        mean = 1000 * (time.perf_counter() - began) / len(steps)
        found[str(count)] = {"mean_ms": round(mean, 4), "slowest_ms": round(1000 * max(times), 1)}
    return found


def write_records(folder: Path, count: int, *, classes: int = 8) -> ShardSource:
    """Tar shards of `count` pictures of 3 px, about 100 bytes each, a picture for each class."""
    made = []
    for index in range(classes):
        file = io.BytesIO()
        pixels = np.random.default_rng(index).integers(0, 256, (3, 3, 3), np.uint8)
        Image.fromarray(pixels).save(file, "PNG")
        made.append(_member("KEY.png", file.getvalue()) + _member("KEY.cls", str(index).encode()))
    folder.mkdir()
    for first in range(0, count, PER_SHARD):
        with (folder / f"{first // PER_SHARD:04d}.tar").open("wb") as file:
            for index in range(first, min(first + PER_SHARD, count)):
                file.write(_named(made[index % classes], index))
            file.write(bytes(1024))
    return ShardSource((f"{folder}/*.tar",))


def _member(name: str, data: bytes) -> bytes:
    import tarfile

    info = tarfile.TarInfo(name.replace("KEY", "K" * 9))
    info.size = len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


def _named(members: bytes, index: int) -> bytes:
    """Members under the key of an index, with the sums of their headers put right."""
    data, at = bytearray(members), 0
    while at < len(data):
        size = int(data[at + 124 : at + 135], 8)
        data[at : at + 9] = b"%09d" % index
        data[at + 148 : at + 156] = b" " * 8
        data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
        at += 512 + size + -size % 512
    return bytes(data)


def prepared(source: ShardSource, folder: Path, workers: int) -> dict[str, object]:
    """A survey in a process of its own: seconds, memory, bytes read by those of the source."""
    began = time.perf_counter()
    found = survey(source, resolution=SIDE, memory=folder / "memory", workers=workers)
    seconds = time.perf_counter() - began
    locate(found, folder / "source")
    rows = np.arange(len(found.readable), dtype="<i8")
    (folder / "rows.bin").write_bytes(rows.tobytes())
    return {
        "images": len(rows),
        "seconds": round(seconds, 1),
        "images_per_second": round(len(rows) / seconds),
        "peak_mib": round(peak_memory_bytes() / MIB),
        "digest": found.digest,
    }


def loaded(folder: Path, workers: int, steps: int) -> dict[str, object]:
    """Memory of loading: all pages of this process, and those that each worker has alone."""
    images = LocatedImages(folder / "source", folder / "rows.bin", resolution=SIDE)
    seen = TrainingImages(LazyPixels(images), augment=Augment(), seed=0)
    run = {"batch": BATCH, "accumulate": 1, "seed": 0, "workers": workers}
    first = len(images) // BATCH - steps // 2  # Some of its steps are of the next epoch.
    stream, peak, began = stream_of(seen, steps=first + steps, **run)(first), 0, 0.0
    for step, _ in enumerate(stream):
        if step == 2:
            began = time.perf_counter()
        if step % 50 == 49:
            here = psutil.Process()
            own = sum(child.memory_full_info().uss for child in here.children())
            peak = max(peak, here.memory_info().rss + own)
    seconds = time.perf_counter() - began
    return {
        "images": len(images),
        "mib": round(peak / MIB, 1),
        "images_per_second": round((steps - 2) * BATCH / seconds),
    }


def overhead(folder: Path, steps: int) -> dict[str, object]:
    """A step beside one worker that needs 0.8 of its time, by the step alone."""
    torch.set_num_threads(1)
    found = survey(FolderSource(str(folder)), resolution=64)
    with tempfile.TemporaryDirectory() as place:
        locate(found, Path(place) / "source")
        (Path(place) / "rows.bin").write_bytes(np.arange(len(found.readable)).tobytes())
        images = LocatedImages(Path(place) / "source", Path(place) / "rows.bin", resolution=64)
        seen = TrainingImages(LazyPixels(images), augment=Augment(), seed=0)
        run = {"batch": 32, "accumulate": 1, "seed": 0}
        loading = _seconds(stream_of(seen, steps=10, **run)(0), 10)
        factors = torch.randn(2, 512, 512)
        once = _seconds(iter(lambda: factors[0] @ factors[1], None), 200)
        repeats = max(1, round(loading / 0.8 / once))

        def compute() -> None:
            for _ in range(repeats):
                _ = factors[0] @ factors[1]

        compute()
        began, spent = time.perf_counter(), time.process_time()
        for _ in range(steps):
            compute()
        alone, alone_cpu = _since(began, spent, steps)
        stream = stream_of(seen, steps=steps + 4, workers=1, **run)(0)
        for _ in range(3):  # The worker starts.
            next(stream)
            compute()
        began, spent = time.perf_counter(), time.process_time()
        for _ in range(steps):
            next(stream)
            compute()
        together, together_cpu = _since(began, spent, steps)
        stream = stream_of(seen, steps=steps + 4, workers=1, **run)(0)
        next(stream)
        began, spent = time.perf_counter(), time.process_time()
        for _ in range(steps):
            next(stream)
        _, fetching_cpu = _since(began, spent, steps)
    return {
        "loading_ms": round(1000 * loading, 1),
        "step_ms": round(1000 * alone, 1),
        "share": round(loading / alone_cpu, 2),
        "with_loader_ms": round(1000 * together, 1),
        "ratio": round(together / alone, 3),
        # Of the process that trains: what other jobs on the machine do not lengthen.
        "cpu_ratio": round(together_cpu / alone_cpu, 3),
        "fetching_cpu_ms": round(1000 * fetching_cpu, 2),
    }


def _since(began: float, spent: float, steps: int) -> tuple[float, float]:
    """Seconds and CPU seconds of a step."""
    return (time.perf_counter() - began) / steps, (time.process_time() - spent) / steps


def _seconds(iterator: Any, count: int) -> float:
    """CPU seconds of each of `count`, so that other jobs do not change the shares."""
    next(iterator)
    spent = time.process_time()
    for _ in range(count - 1):
        next(iterator)
    return (time.process_time() - spent) / (count - 1)


def preparation(folder: Path, source: FolderSource | ShardSource) -> dict[str, object]:
    """Bytes read by bytes of the source, by one process; two workers against one; a kill's cost."""
    if isinstance(source, FolderSource):
        files = [Path(source.root, path) for path in source.listing().paths]
    else:
        files = [Path(path) for path in source.shards()]
    size = sum(path.stat().st_size for path in files)
    _let_settle(files)
    before = psutil.Process().io_counters().read_chars
    began = time.perf_counter()
    whole = survey(source, resolution=64, memory=folder / "one")
    one = time.perf_counter() - began
    read = psutil.Process().io_counters().read_chars - before
    began = time.perf_counter()
    survey(source, resolution=64, memory=folder / "two", workers=2)
    two = time.perf_counter() - began

    class Killed(Exception):
        pass

    before_it = 0

    def kill(done: int, total: int) -> None:
        nonlocal before_it
        before_it = done
        if done >= total / 2:
            raise Killed

    again: list[tuple[int, int]] = [(0, 0)]
    try:
        survey(source, resolution=64, memory=folder / "killed", progress=kill)
    except Killed:
        resumed = survey(
            source,
            resolution=64,
            memory=folder / "killed",
            progress=lambda *told: again.append(told),
        )
        assert resumed.digest == whole.digest
    return {
        "images": len(whole.images),
        "mib": round(size / MIB, 1),
        "bytes_read_share": round(read / size, 4),
        "one_worker_seconds": round(one, 2),
        "two_workers_times_as_fast": round(one / two, 2),
        "files": len(files),
        "files_read_twice_after_a_stop": before_it + again[-1][1] - len(files),
        "files_lost_by_a_kill_at_most": surveying.FILES_OF_A_TASK
        if isinstance(source, FolderSource)
        else 1,
    }


def _let_settle(files: list[Path]) -> None:
    """As if written a while ago: what has just changed is not remembered."""
    for path in files:
        os.utime(path, (10**9, 10**9))


def in_a_process(function: Callable[..., dict[str, object]], *arguments: object) -> dict[str, Any]:
    """A function of this module in a fresh process, whose memory is its own."""
    code = (
        "import json; from pathlib import Path; from experiments.benchmarks import data_scale; "
        "from bench.data.sources.places import ShardSource; "
        f"print(json.dumps(data_scale.{function.__name__}(*{arguments!r})))"
    ).replace("PosixPath", "Path")
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(answer.stderr)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def write_pictures(folder: Path, count: int, size: int) -> FolderSource:
    """Scenes of `size` px as JPEG files in two folders; they repeat, told apart by a comment."""
    scenes = []
    for index in range(min(count, SCENES)):
        file = io.BytesIO()
        pixels = render_scene(index, split="train", seed=0, resolution=size).pixels
        Image.fromarray(pixels.transpose(1, 2, 0)).save(file, "JPEG", quality=95)
        scenes.append(file.getvalue())
    for name in "ab":
        (folder / name).mkdir(parents=True)
    for index in range(count):
        start, rest = scenes[index % SCENES][:2], scenes[index % SCENES][2:]
        comment = b"\xff\xfe" + (10).to_bytes(2, "big") + f"{index:08d}".encode()
        path = folder / "ab"[index % 2] / f"{index:06d}.jpg"
        path.write_bytes(start + comment + rest)
    return FolderSource(str(folder))


def main() -> None:
    """Print all figures as one JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("--pictures", type=int, default=16_000, help="JPEG files of 256 px")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where all is put for the time")
    options = parser.parse_args()
    figures: dict[str, Any] = {"load": os.getloadavg()[0], "cpus": os.cpu_count()}
    figures["indices"] = indices()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        place = Path(folder)
        pictures = write_pictures(place / "pictures", options.pictures, 256)
        written = write_shards(
            list_images(place / "pictures"),
            place / "shards",
            size=10**6,
            progress=lambda count: None,
        )
        shards = ShardSource((written.patterns[""],), classes=str(written.classes))
        figures["overhead"] = overhead(place / "pictures", options.steps)
        for name, source in (("folder", pictures), ("shards", shards)):
            (place / name).mkdir(exist_ok=True)
            figures[f"preparation_{name}"] = preparation(place / f"memory_{name}", source)
        digests = [survey(one, resolution=64).digest for one in (pictures, shards)]
        figures["same_digest"] = digests[0] == digests[1]
        for count in options.records:
            source = write_records(place / f"records{count}", count)
            _let_settle([Path(path) for path in source.shards()])
            prepare = in_a_process(prepared, source, place / f"records{count}", options.workers)
            load = in_a_process(loaded, place / f"records{count}", options.workers, options.steps)
            figures[f"records_{count}"] = {"survey": prepare, "loading": load}
    if options.records:
        taken = [figures[f"records_{n}"]["loading"]["mib"] for n in options.records]
        figures["memory_growth"] = round(taken[-1] / taken[0] - 1, 4)
    figures["load_after"] = os.getloadavg()[0]
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
