"""Cost of checkpoints of a training of S's size (`gpu_check`): time, and memory beside the state.

A training waits while its state is copied; the file is written beside its next steps. Printed are
both times, a step alone and beside the writing, and the share of the time of `--every` steps, of
this machine's step and of one of `--milliseconds`, as on a node of GPUs.
Run from the repository's root: `python -m experiments.benchmarks.steps.checkpoint_speed`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil
import torch

from adatok_core.training import TokenizerTrainer
from bench.stages.training.checkpointing import CheckpointWriter
from bench.store.stage import peak_memory_bytes
from experiments.benchmarks.gpu_check import CASES, trainer_of


def steps_beside(trainer: TokenizerTrainer, writer: CheckpointWriter) -> list[float]:
    """Seconds of each step until the file is written."""
    taken = []
    while writer._written is not None and not writer._written.done():
        taken.append(seconds_of_step(trainer))
    return taken


def seconds_of_step(trainer: TokenizerTrainer) -> float:
    """Wall time of one step."""
    began = time.perf_counter()
    trainer._train_step()
    return time.perf_counter() - began


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--every", type=int, default=1000)
    parser.add_argument("--milliseconds", type=float, default=23.0, help="of a step elsewhere")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    trainer = trainer_of(replace(CASES["S"], batch=options.batch), "cpu", precision="fp32")
    alone = [seconds_of_step(trainer) for _ in range(options.repeats + 1)][1:]
    size = sum(tensor.nbytes for tensor in trainer.state().tensors.values())
    Path("/proc/self/clear_refs").write_text("5")
    before = psutil.Process().memory_info().rss
    waits, writes, beside = [], [], []
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        CheckpointWriter(Path(folder)) as writer,
    ):
        for _ in range(options.repeats):
            began = time.perf_counter()
            writer.begin(trainer.state)
            waits.append(time.perf_counter() - began)
            beside += steps_beside(trainer, writer)
            writes.append(time.perf_counter() - began - waits[-1])
    step = statistics.median(alone)
    wait, write = statistics.median(waits), statistics.median(writes)
    slower = max(0.0, statistics.median(beside) / step - 1) * write
    print(
        json.dumps(
            {
                "state_gigabytes": size / 1e9,
                "memory_beside_it": (peak_memory_bytes() - before) / size,
                "seconds_waited": wait,
                "seconds_written": write,
                "step_seconds": step,
                "step_seconds_beside": statistics.median(beside),
                "share_here": (wait + slower) / (options.every * step),
                "share_elsewhere": wait / (options.every * options.milliseconds / 1e3),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
