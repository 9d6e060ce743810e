"""One rank of a training: `python -m bench.stages.training.worker`, its task on standard input.

The input stays open as long as the stage's own process lives; where that is killed, the rank ends.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist

from bench.files import write_json
from bench.stages import STAGES
from bench.stages.training.messages import STOP, context_of, failure
from bench.store.stage import Resources, peak_memory_bytes
from bench.store.stopping import Stopping

# One rank may write checkpoints, or evaluate, while the others wait; a dead one is found otherwise.
PATIENCE = datetime.timedelta(hours=2)


def main() -> None:
    """Do the task, and leave the result or the error as `RANK.json` in its folder."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stage, which ends its ranks.
    task = json.loads(sys.stdin.readline())
    folder, rank = Path(task["folder"]), int(task["rank"])
    context = context_of(task)
    listening = threading.Thread(target=_listen, args=(folder, context.stopping), daemon=True)
    listening.start()
    answer = folder / f"{rank}.json"
    try:
        with _joined(rank, context.spec.resources, folder):
            result = STAGES[context.spec.stage].compute(context)
        write_json(answer, {"result": result, "peak_memory_bytes": peak_memory_bytes()})
    except Exception as error:
        write_json(answer, {"failure": failure(error)})
        os._exit(1)  # The others may be waiting for this one: leave no group in peace.


def _listen(folder: Path, stopping: Stopping) -> None:
    """Stop when the stage says so, end with it when it is gone."""
    for line in sys.stdin:
        if line.strip() == STOP:
            stopping.ask()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


@contextmanager
def _joined(rank: int, resources: Resources, folder: Path) -> Iterator[None]:
    """Join the group of all ranks, by a file: no port is taken before all are there."""
    torch.set_num_threads(max(1, resources.cpus // resources.ranks))
    on_gpu = resources.device == "cuda"
    if on_gpu:
        torch.cuda.set_device(rank)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=dist.FileStore(  # type: ignore[attr-defined]
            str(folder / "rendezvous"), resources.ranks
        ),
        rank=rank,
        world_size=resources.ranks,
        timeout=PATIENCE,
        device_id=torch.device("cuda", rank) if on_gpu else None,
    )
    yield
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
