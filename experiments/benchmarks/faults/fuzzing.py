"""Fuzzing: changes to bytes and values at random, and processes that are watched as they use them.

A benchmark numbers its inputs, and gives the fate of each to `main`. An input may cost so many
seconds of CPU time, which other jobs do not lengthen, and so much memory; what waits is ended.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

BATCH = 50  # of one process: a crash costs that many
MOST_SECONDS = 10.0  # of CPU time, for one input
MOST_BYTES = 2 * 2**30
BATCH_SECONDS = 1200.0
WORDS = ["", "x", "a" * 300, "\u0000", "$\\frac{$", "测试", "../up", "/", "1e-3", "2026-13-45", "~"]
NUMBERS = [0, -1, 1, 3, 10**6, 2**31, 2**63, 10**30, 0.5, -0.5, 1e308, float("nan"), float("inf")]
NASTY = [*WORDS, *NUMBERS, None, True, False, [], {}, [1, [2]], {"kind": "x"}, [3, 2, 1]]

# What becomes of input `number` of a seed; raises what is a fault.
Fate = Callable[[int, int], str]


def mutated(originals: list[bytes], number: int, seed: int = 0) -> bytes:
    """File `number` of a seed: a copy of an original with one to four changes."""
    rng = np.random.default_rng([seed, number])
    data = bytearray(originals[number % len(originals)])
    for _ in range(rng.integers(1, 5)):
        # Headers and metadata lie in front, where changes are worth more.
        at = int(rng.integers(0, min(len(data), 400) if rng.random() < 0.5 else len(data)))
        length = int(rng.integers(1, 40))
        change = rng.integers(0, 6)
        if change == 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif change == 1:
            data[at : at + length] = bytes([rng.choice([0, 1, 127, 255])]) * length
        elif change == 2:
            large = int(rng.choice([0, 1, 2**16, 2**24 + 1, 2**31 - 1, 2**32 - 1]))
            data[at : at + 4] = large.to_bytes(4, str(rng.choice(["big", "little"])))
        elif change == 3:
            other = originals[int(rng.integers(0, len(originals)))]
            data[at:at] = other[len(other) // 3 :][:length]
        elif change == 4:
            del data[at : at + length]
        elif rng.random() < 0.2:
            del data[max(at, 16) :]
    return bytes(data)


def changed(value: Any, rng: np.random.Generator) -> Any:
    """A copy of JSON-able values with one change: another value, a key lost, renamed or added."""
    value = copy.deepcopy(value)
    inner = value
    while True:
        keys = [*inner] if isinstance(inner, dict) else [*range(len(inner))]
        if not keys:
            return value
        if rng.random() < 0.7:  # Most of what matters lies deep.
            keys = [key for key in keys if isinstance(inner[key], dict | list)] or keys
        at = keys[int(rng.integers(len(keys)))]
        if not isinstance(inner[at], dict | list) or not inner[at] or rng.random() < 0.15:
            break
        inner = inner[at]
    kind, nasty = rng.integers(0, 6), NASTY[int(rng.integers(len(NASTY)))]
    if kind == 0:
        del inner[at]
    elif kind == 1 and isinstance(inner, dict):
        inner[f"{at}x"] = inner.pop(at)
    elif kind == 2 and isinstance(inner, list):
        inner += [inner[at]] * int(rng.integers(1, 60))
    else:
        inner[at] = nasty
    return value


def options(about: str) -> argparse.ArgumentParser:
    """The options that `main` heeds."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--from", type=int, default=0, dest="start")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="use this input here, and show a traceback")
    parser.add_argument("--work", action="store_true", help="use them all here, a line for each")
    return parser


def main(module: str, given: argparse.Namespace, fate: Fate, *own: str) -> None:
    """Use the inputs that the options name and tell what became of them; ends with 1 on faults.

    `module` is started for each batch, with the arguments `own`.
    """
    numbers = range(given.start, given.start + given.count)
    if given.only is not None:
        print(fate(given.only, given.seed))
    elif given.work:
        _work(numbers, given.seed, fate)
    else:
        sys.exit(not _tell(module, numbers, given.seed, *own))


def _work(numbers: range, seed: int, fate: Fate) -> None:
    with suppress(Exception):  # Imports, which are no input's.
        fate(numbers[0], seed)
    for number in numbers:
        began = time.process_time()
        try:
            found = fate(number, seed)
        except Exception as error:
            found = f"FAULT: {type(error).__name__}: {str(error)[:300]}"
        seconds = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps([number, found, seconds, peak]), flush=True)


def _tell(module: str, numbers: range, seed: int, *own: str) -> bool:
    """Print what became of inputs, in batches of processes; whether all is well."""
    parts = [numbers[at : at + BATCH] for at in range(0, len(numbers), BATCH)]
    rows = [row for part in parts for row in _watched(module, part, seed, *own)]
    _, fates, seconds, peaks = zip(*rows, strict=True)
    faults = [row for row in rows if row[1].startswith("FAULT") or "\n" in row[1]]
    for reason, count in Counter(fate.split(":")[0] for fate in fates).most_common():
        print(f"{count:6} {reason}")
    slowest, largest = max(seconds), max(peaks)
    print(f"slowest {slowest:.2f} s of CPU, largest {largest / 2**20:.0f} MiB", *faults, sep="\n")
    return not faults and slowest <= MOST_SECONDS and largest <= MOST_BYTES


def _watched(
    module: str, numbers: range, seed: int, *own: str
) -> Iterator[tuple[int, str, float, int]]:
    """Fates of inputs in a process of their own; complaints stand for what it did not survive."""
    given = [*own, f"--seed={seed}", f"--from={numbers.start}", f"--count={len(numbers)}"]
    command = [sys.executable, "-m", module, "--work", *given]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    try:
        out, complaints = process.communicate(timeout=BATCH_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, complaints = process.communicate()
    yield from map(json.loads, out.splitlines())
    if process.returncode or complaints:
        told = f"FAULT: exit {process.returncode}: {complaints[-2000:]}"
        yield numbers.start + out.count("\n"), told, 0.0, 0
