"""Several ranks for one stage: started, watched, and ended together, on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from adatok_core.config.checks import require_shares
from adatok_core.ranks import Ranks
from bench.errors import UserError
from bench.stages.training.messages import STOP, RankError, raised, task_of
from bench.store.stage import StageContext, StageFunction

SECONDS_BETWEEN_LOOKS = 0.1
# For the others to say what they know, after one has failed.
HEARING_SECONDS = 3.0


def on_ranks(
    context: StageContext,
    train: StageFunction,
    *,
    where: str = "",
    batch: int | None = None,
    parts: int = 1,
) -> dict[str, Any]:
    """The result of `train`: in this process, or on as many ranks as the stage has resources for.

    Each rank is a process of its own that computes the whole stage, and so comes here again. They
    share `batch`, of `parts` micro-batches, which the settings have at `where`; or no batch at all.

    Raises:
        UserError: the batch cannot be shared out, or there are too few GPUs.
        RankError: a rank has died or failed; whatever a rank raises that is no matter of ranks is
            raised as it is.
    """
    resources = context.spec.resources
    if resources.ranks == 1 or Ranks.here().count > 1:
        return train(context)
    try:
        if batch is not None:
            require_shares(batch, parts=parts, ranks=resources.ranks)
    except ValueError as error:
        raise UserError(f"{where}.{error}") from None
    if resources.device == "cuda" and torch.cuda.device_count() < resources.ranks:
        raise UserError(
            f"resources.{context.spec.stage}: asks for {resources.ranks} GPUs, and this process "
            f"sees {torch.cuda.device_count()}; ask for fewer"
        )
    with tempfile.TemporaryDirectory(prefix="adatok-ranks-") as folder, ExitStack() as running:
        ranks = []
        for rank in range(resources.ranks):
            ranks.append(_started(context, folder, rank))
            running.callback(_end, ranks[-1])
        _wait(context, ranks, Path(folder))
        _repeat_warnings(Path(folder))
        answers = [_answer(Path(folder), rank) for rank in range(resources.ranks)]
    peaks = [answer["peak_memory_bytes"] for answer in answers]
    return {**answers[0]["result"], "rank_peak_memory_bytes": peaks}


def _started(context: StageContext, folder: str, rank: int) -> subprocess.Popen[str]:
    resources = context.spec.resources
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": str(max(1, resources.cpus // resources.ranks)),
    }
    if sys.platform == "linux":  # All are on this machine: nothing has to be heard outside.
        environment = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo", **environment}
    with open(_log(Path(folder), rank), "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.stages.training.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env=environment,
            text=True,
        )
    _tell(process, json.dumps(task_of(context, folder=folder, rank=rank)))
    return process


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # It has died already, which is found soon.
        process.stdin.write(line + "\n")
        process.stdin.flush()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def _wait(context: StageContext, ranks: Sequence[subprocess.Popen[str]], folder: Path) -> None:
    """Wait until all ranks have ended well; raise what the first to fail has told.

    The first rank is asked to stop where the stage is: it leaves the checkpoint of all.
    """
    stage, asked = context.spec.stage, False
    while any(rank.poll() is None for rank in ranks):
        if any(rank.poll() for rank in ranks):
            break
        if context.stopping.looked() and not asked:
            asked = True
            _tell(ranks[0], STOP)
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if not any(rank.poll() for rank in ranks):
        return
    deadline = time.monotonic() + HEARING_SECONDS
    while time.monotonic() < deadline and any(rank.poll() is None for rank in ranks):
        time.sleep(SECONDS_BETWEEN_LOOKS)
    failures = []
    for number, rank in enumerate(ranks):
        who = f"rank {number} of {len(ranks)}"
        if not rank.poll():
            continue
        told = _answer(folder, number).get("failure")
        if told is None:  # A rank that dies without a word is the reason for what others tell.
            how, remedy = _how(rank.returncode, _log(folder, number)), ""
            if rank.returncode == -signal.SIGKILL:
                remedy = f"; fewer resources.{stage}.ranks take less memory"
            raise RankError(
                f"{who} has died ({how}); the same command goes on from the last checkpoint{remedy}"
            )
        failures.append((told["at"], number, raised(told, who=who)))
    raise min(failures, key=lambda failed: failed[:2])[2]


def _how(code: int, log: Path) -> str:
    """How a process ended, in words."""
    if code == -signal.SIGKILL:
        return "killed, perhaps out of memory"
    if code < 0:
        return f"by {signal.Signals(-code).name}"
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    return f"with exit code {code}" + (f": {lines[-1]}" if lines else "")


def _answer(folder: Path, rank: int) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads((folder / f"{rank}.json").read_bytes())
    except FileNotFoundError:
        return {}
    return answer


def _log(folder: Path, rank: int) -> Path:
    return folder / f"{rank}.log"


def _repeat_warnings(folder: Path) -> None:
    """Say what the first rank warned of; the rest of its log is of libraries."""
    for line in _log(folder, 0).read_text("utf-8", errors="replace").splitlines():
        if line.startswith("warning: "):
            print(line, file=sys.stderr)
