"""Mirrors many made-up cells that share few tokenizers into a fresh SQLite: time, points, size.

    python -m experiments.benchmarks.mirror_scale [--cells 1000] [--tokenizers 10] [--rows 1000]

Each cell has a policy, an evaluation and results of its own; the tokenizers, each with a curve of
so many rows of eight values, their banks and the image sets are shared. Points are counted in the
database; distinct ones are those of different stages and cells, counted as they are made. Ends with
1 where there are more than 1.05 times as many, or it takes more than five minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.config.cell import CellConfig
from bench.data.datasets import FluentScenes
from bench.files import content_key
from bench.records.protocol import Protocol
from bench.records.record import SCHEMA_VERSION, Record, parse_record
from bench.store.provenance import provenance
from bench.store.store import Store
from bench.suite.cells import Cell
from bench.tracker.connection import tracking_uri
from bench.tracker.mirror import mirror

VALUES, METRICS, BUDGETS, COLUMNS, CONTROLS, SAMPLES = 8, 60, 8, 15, 8, 60
POLICY_ROWS = 40
SECONDS, TIMES = 300.0, 1.05
PROTOCOL = asdict(
    Protocol(
        **{"images_digest": "d", "images_count": 8, "resolution": 32},
        **{"estimators": {}, "extractors": {}, "versions": {}},
    )
)


class Made:
    """A made-up store: its stages, and how many different points they and the cells have."""

    def __init__(self, store: Store, seed: int):
        self.store, self.points = store, 0
        self._draw = random.Random(seed)

    def numbers(self, count: int, name: str) -> dict[str, float]:
        """So many values by name."""
        return {f"{name}_{number}": self._draw.random() for number in range(count)}

    def history(self, rows: int) -> list[dict[str, Any]]:
        """A curve."""
        return [{"step": 10 * row, **self.numbers(VALUES, "loss")} for row in range(1, rows + 1)]

    def stage(
        self, name: str, config: dict[str, Any], *needs: dict[str, Any], rows: int = 0
    ) -> dict[str, Any]:
        """A stage in the store, as its record and others that need it name it."""
        inputs = {f"{need['stage']}{place}": need for place, need in enumerate(needs)}
        of = {name: [need["stage"], need["key"]] for name, need in inputs.items()}
        key = content_key([name, config, of])
        curve = self.history(rows)
        seconds = [float(second) for second in range(SAMPLES)]
        machine = {
            one: [1e6 * self._draw.random() for _ in seconds]
            for one in ("cpu_percent", "resident_memory_bytes")
        }
        self.points += rows * VALUES + 2 * SAMPLES + 2
        self.store.work(name, key).mkdir(parents=True)
        about = {
            **{"version": 1, "config": config, "inputs": of, "runtime": {}},
            **{"resources": {"cpus": 1, "gpus": 0.0, "device": "cpu"}},
            "result": {"count": 8, **({"history": curve} if rows else {})},
            "attempts": ["2026-11-30T00:00:00+00:00"],
            **{"seconds": 60.0, "peak_memory_bytes": 1 << 30},
            "system": {"seconds": seconds, **machine},
        }
        self.store.publish(name, key, about)
        return {**about, "stage": name, "key": key}

    def record(self, number: int, stages: list[dict[str, Any]]) -> Record:
        """A finished cell made of these stages."""
        data = FluentScenes(train=8, validation=8)
        settings = Cell("arm", CellConfig(data=data), {}).settings
        settings["training"]["seed"] = number
        self.points += METRICS + BUDGETS * (COLUMNS + 2) + CONTROLS * COLUMNS
        took = ("stage", "key", "seconds", "peak_memory_bytes", "resources")
        controls = {f"control_{one}": self.numbers(COLUMNS, "value") for one in range(CONTROLS)}
        content = {
            **{"schema_version": SCHEMA_VERSION, "suite": "scale", "question": "How long?"},
            **{"cell_key": f"{number:016x}", "arm": "arm", "label": f"arm: seed {number}"},
            **{"group": "arm", "swept": {"training.seed": number}, "reference_arm": None},
            **{"length_from": None, "settings": settings, "status": "done", "error": None},
            "metrics": self.numbers(METRICS, "metric"),
            "curve": [
                {"budget": 2**one, "trained": True, **self.numbers(COLUMNS, "column")}
                for one in range(BUDGETS)
            ],
            "controls": controls,
            **{"protocol": PROTOCOL, "protocol_hash": "0" * 16},
            "histories": {
                one["stage"]: one["result"]["history"]
                for one in stages
                if "history" in one["result"]
            },
            "stages": [{name: one[name] for name in took} for one in stages],
            "provenance": provenance(),
        }
        return parse_record(json.dumps(content), where="made-up record")


def make(store: Store, *, cells: int, tokenizers: int, rows: int) -> tuple[list[Record], int]:
    """The records of all cells, and the number of different points."""
    made = Made(store, seed=0)
    data = [made.stage("data", {"split": split}) for split in ("train", "validation")]
    shared = []
    for number in range(tokenizers):
        tokenizer = made.stage("tokenizer", {"seed": number}, data[0], rows=rows)
        shared.append([*data, tokenizer, made.stage("bank", {}, data[1], tokenizer)])
    records = []
    for number in range(cells):
        stages = shared[number % tokenizers]
        policy = made.stage("policy", {"seed": number}, stages[-1], rows=POLICY_ROWS)
        last = made.stage("evaluation", {"seed": number}, stages[-1], policy)
        records.append(made.record(number, [*stages, policy, last]))
    return records, made.points


def main() -> None:
    """Make, mirror twice, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--tokenizers", type=int, default=10)
    parser.add_argument("--rows", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mirror-") as folder:
        store = Store.open(folder)
        records, distinct = make(
            store, cells=given.cells, tokenizers=given.tokenizers, rows=given.rows
        )
        for attempt in ("fresh", "again"):
            began, busy = time.perf_counter(), time.process_time()
            mirror(records, store, uri=tracking_uri(store))
            seconds, cpu = time.perf_counter() - began, time.process_time() - busy
            with closing(sqlite3.connect(store.root / "mlflow.db")) as database:
                (points,) = database.execute("select count(*) from metrics").fetchone()
                (runs,) = database.execute("select count(*) from runs").fetchone()
            size = Path(store.root / "mlflow.db").stat().st_size / 1e6
            print(
                f"{attempt}: {given.cells} cells, {given.tokenizers} tokenizers of {given.rows} "
                f"rows: {seconds:.1f} s ({cpu:.1f} s of CPU), {points} points for {distinct} "
                f"distinct ones ({points / distinct:.4f}), {runs} runs, {size:.0f} MB, "
                f"load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
            if attempt == "fresh":
                failed = seconds > SECONDS or points > TIMES * distinct
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
