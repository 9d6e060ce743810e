"""Steps of a tokenizer's training on several ranks against one: same batch, a thread for each rank.

Both train the same steps in turns, so that a busy machine slows both; of each pair only the ratio
counts. Cores that are shared with other jobs show less than there is: the load is printed, and the
ratio of the first rank's processor time, which is that of wall time where every rank has a core.
Run from the repository's root: `python -m experiments.benchmarks.ranks --ranks 2`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist

from adatok_core.config import LoRA, TokenizerConfig, TrainingConfig
from adatok_core.training import TokenizerTrainer

IMAGE_SIZE, COUNT, WARM_UP = 64, 512, 2


def trainer_of(options: argparse.Namespace) -> TokenizerTrainer:
    """A trainer on random images."""
    generator = torch.Generator().manual_seed(0)
    shape = (COUNT, 3, IMAGE_SIZE, IMAGE_SIZE)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    tokenizer = TokenizerConfig(
        budgets=(8, 16, 32, 64),
        patch_size=8,
        width=options.width,
        encoder_depth=options.depth,
        decoder_depth=options.depth,
        attention_heads=4,
        lora=LoRA(rank=8),
    )
    steps = WARM_UP + options.steps
    training = TrainingConfig(steps=steps, batch=options.batch, warmup_steps=1)
    return TokenizerTrainer(
        tokenizer, training, image_size=IMAGE_SIZE, count=COUNT, load=images.__getitem__
    )


def train(options: argparse.Namespace, *, rank: int, count: int, folder: Path) -> None:
    """Train as one of `count` ranks; the first leaves the times of all steps after warm-up."""
    torch.set_num_threads(1)
    if count > 1:
        place = f"file://{folder}/rendezvous"
        dist.init_process_group("gloo", init_method=place, rank=rank, world_size=count)
    began = (0.0, 0.0)
    for step in trainer_of(options).run():
        if step == WARM_UP:
            began = (time.perf_counter(), time.process_time())
    if rank == 0:
        ended = (time.perf_counter(), time.process_time())
        taken = [end - start for start, end in zip(began, ended, strict=True)]
        (folder / "seconds").write_text(json.dumps(taken))


def seconds(count: int) -> tuple[float, float]:
    """Wall and processor time on so many ranks, each a process that gets our own arguments."""
    environment = {"GLOO_SOCKET_IFNAME": "lo", **os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "experiments.benchmarks.ranks", *sys.argv[1:]]
        parts = [
            subprocess.Popen([*command, "--as", str(rank), str(count), folder], env=environment)
            for rank in range(count)
        ]
        if any([part.wait() for part in parts]):
            raise SystemExit("a rank has failed")
        wall, processor = json.loads((Path(folder) / "seconds").read_text())
        return wall, processor


def main() -> None:
    """Print the times and their ratios as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--depth", type=int, default=4, help="of the encoder and of the decoder")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--as", dest="part", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        rank, count, folder = options.part
        train(options, rank=int(rank), count=int(count), folder=Path(folder))
        return
    times = [(seconds(1), seconds(options.ranks)) for _ in range(options.repeats)]
    wall, processor = ([one[kind] / several[kind] for one, several in times] for kind in range(2))
    found = {
        "options": vars(options),
        "cpus": len(os.sched_getaffinity(0)),
        "load": [round(load, 2) for load in os.getloadavg()],
        "median_ratio": round(statistics.median(wall), 3),
        "median_processor_ratio": round(statistics.median(processor), 3),
        "ratios": [round(ratio, 3) for ratio in wall],
        "processor_ratios": [round(ratio, 3) for ratio in processor],
        "seconds_of_one": [round(one[0], 3) for one, _ in times],
        "seconds_of_ranks": [round(several[0], 3) for _, several in times],
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
