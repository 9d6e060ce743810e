"""Trackers that fail while a suite runs under Ray: the lag of curves, records, lines, `sync`.

A small suite runs with the store's own database, and is watched: how long a row that a training has
written takes until it is a point in MLflow (at most 30 s), and what writing rows costs a step (at
most a hundredth). Then it runs with trackers that are down from the start, go down in the middle,
answer each request after 30 s, or whose disk gets full (a file system of its own, which takes root
to mount; left out otherwise). Each run must end with exit code 0, the records of the first one and
one line on the tracker, and `sync` must mend it: the same points, each once, nothing left running.
Run from the repository's root:
`python -m experiments.benchmarks.faults.tracker_faults [--only slow]`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.store.curve import FILE, CurveWriter
from experiments.benchmarks.faults.kill_matrix import PROGRAM, SUITE, records

LAG_SECONDS, SHARE_OF_A_STEP, SLOW_SECONDS = 30.0, 0.01, 30.0
SEEDS = 2
POINTS = """
    select coalesce(cell.value, stage.value), metrics.key, metrics.step, metrics.value
    from metrics join runs using (run_uuid)
    left join tags cell on cell.run_uuid = runs.run_uuid and cell.key = 'cell_key'
    left join tags stage on stage.run_uuid = runs.run_uuid and stage.key = 'stage_key'
    where runs.lifecycle_stage = 'active' and coalesce(cell.value, stage.value) is not null
"""
LAST = """
    select max(metrics.step) from metrics
    join tags on tags.run_uuid = metrics.run_uuid and tags.key = 'stage_key' and tags.value = ?
    where metrics.key = 'training/pixel_loss'
"""


def suite_text(steps: int) -> str:
    """The suite of the kills with long tokenizers alone."""
    text = SUITE.replace("steps: 150", f"steps: {steps}")
    text = text.replace("checkpoint_every: 10", "checkpoint_every: 500, log_every: 10")
    head = text.partition("arms:")[0]
    return f"{head}arms:\n  - name: elastic\n    sweep: {{training.seed: {list(range(SEEDS))}}}\n"


def command(store: Path, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A command of ours on a store, writing to `log`."""
    with log.open("wb") as file:
        return subprocess.Popen(
            [str(PROGRAM), *arguments, "--store", str(store)], stdout=file, stderr=file
        )


def read(database: Path, query: str, *given: str) -> list[Any]:
    """Rows of a database; none while it is being made."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(query, given).fetchall()
    except sqlite3.OperationalError:
        return []


def points(database: Path) -> dict[tuple[str, str, int], float]:
    """Values by cell or stage, name and step, without what was timed; each must be there once."""
    found: dict[tuple[str, str, int], float] = {}
    for key, name, step, value in read(database, POINTS):
        if name.startswith("system/") or "second" in name or "time_share" in name:
            continue
        assert (key, name, step) not in found, f"twice: {key} {name} {step}"
        found[key, name, step] = value
    return found


def not_finished(database: Path) -> list[Any]:
    """Runs that are not deleted and have not ended well."""
    return read(
        database,
        "select name, status from runs where lifecycle_stage = 'active' and status != 'FINISHED'",
    )


@dataclass
class Lags:
    """When rows of curves were seen in their files, and how much later in the database."""

    store: Path
    database: Path
    seconds: list[float] = field(default_factory=list)
    _written: dict[str, dict[int, float]] = field(default_factory=dict)
    _shown: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """See what is new on both sides."""
        now = time.monotonic()
        for path in (self.store / "work").glob(f"tokenizer-*/{FILE}"):
            seen = self._written.setdefault(path.parent.name.partition("-")[2], {})
            with contextlib.suppress(OSError, ValueError):
                for line in path.read_text().splitlines():
                    seen.setdefault(json.loads(line)["step"], now)
        for key, seen in self._written.items():
            ((last,),) = read(self.database, LAST, key) or [(None,)]
            before, last = self._shown.get(key, -1), -1 if last is None else last
            self.seconds += [now - at for step, at in seen.items() if before < step <= last]
            self._shown[key] = max(before, last)


def watched(run: subprocess.Popen[bytes], lags: Lags) -> float:
    """Look until the run ends; CPU seconds of its driver alone."""
    driver, taken = psutil.Process(run.pid), 0.0
    while run.poll() is None:
        lags.look()
        with contextlib.suppress(psutil.Error):
            times = driver.cpu_times()
            taken = times.user + times.system
        time.sleep(0.25)
    return taken


def seconds_of_a_row(count: int = 2000) -> float:
    """CPU seconds that a training spends on showing a row of its curve."""
    with tempfile.TemporaryDirectory() as folder:
        writer, history = CurveWriter(Path(folder)), []
        values = {f"loss_{number}": 0.123456789 for number in range(8)}
        began = time.process_time()
        for step in range(count):
            history.append({"step": step, **values})
            writer.write(history)
        return (time.process_time() - began) / count


class Proxy:
    """In front of a server: passes everything on, answers late, or is down."""

    def __init__(self, to: int):
        self.to, self.late = to, 0.0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.up = False
        self.start()

    def start(self) -> None:
        """Serve."""
        if self._listener.fileno() < 0:
            self._listener = socket.create_server(("127.0.0.1", self.port))
        self.up = True
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections, and break off those that there are."""
        self.up = False
        for one in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def mend(self) -> None:
        """Answer at once again, if at all."""
        self.late = 0.0
        if not self.up:
            self.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self.to))
                self._open += [client, server]
                for source, sink, late in ((client, server, False), (server, client, True)):
                    threading.Thread(
                        target=self._pass, args=(source, sink, late), daemon=True
                    ).start()

    def _pass(self, source: socket.socket, sink: socket.socket, late: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                time.sleep(self.late * late)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def server(folder: Path) -> Iterator[tuple[int, Path]]:
    """An MLflow server of its own: port and database."""
    database = folder / "server.db"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    places = ["--artifacts-destination", str(folder / "artifacts"), "--port", str(port)]
    places += ["--backend-store-uri", f"sqlite:///{database}"]
    with (folder / "server.txt").open("wb") as log:
        process = subprocess.Popen(
            [*program, *places],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 180
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.5)
        yield port, database
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Disk:
    """A file system of its own for a database, which can be full."""

    def __init__(self, place: Path):
        self.place, self.database = place, place / "mlflow.db"
        place.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=200m", "tmpfs")

    def fill(self) -> None:
        """Leave hardly any room."""
        about = os.statvfs(self.place)
        used = (about.f_blocks - about.f_bfree) * about.f_frsize
        self._mount("-o", f"remount,size={used + 4 * about.f_frsize}")

    def make_room(self) -> None:
        """Leave plenty."""
        self._mount("-o", "remount,size=200m")

    def close(self) -> None:
        """Remove it."""
        subprocess.run(["umount", "-l", str(self.place)], check=True)

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, str(self.place)], check=True)


@dataclass
class Faults:
    """Runs with faulty trackers, each compared with an undisturbed one."""

    folder: Path
    suite: Path
    expected: Any
    shown: dict[tuple[str, str, int], float]

    def run(
        self,
        name: str,
        uri: str,
        database: Path,
        mend: Callable[[], Any],
        hit: Callable[[], bool] = lambda: True,
    ) -> None:
        """Run, hit the tracker as soon as `hit` says so, mend it and `sync`; a line on all."""
        store, log = self.folder / name, self.folder / f"{name}.txt"
        began = time.monotonic()
        run = command(store, log, "run", str(self.suite), "--tracking-uri", uri)
        struck = False
        while run.poll() is None:
            struck = struck or hit()
            time.sleep(0.5)
        seconds, text = time.monotonic() - began, log.read_text()
        lines = [line for line in text.splitlines() if "MLflow at" in line]
        same = records(store) == self.expected
        mend()
        synced = self.folder / f"{name}-sync.txt"
        sync = command(store, synced, "sync", "--tracking-uri", uri).wait()
        found = points(database)
        print(
            f"{name}: code {run.returncode} after {seconds:.0f} s, hit: {struck}, records equal: "
            f"{same}, lines: {len(lines)}; sync: code {sync}, {len(found)} points for "
            f"{len(self.shown)}, equal: {found == self.shown}, not finished: "
            f"{not_finished(database)}; load {os.getloadavg()[0]:.1f}\n  {lines[-1:]}",
            flush=True,
        )
        assert struck, text
        assert run.returncode == 0, text
        assert same
        assert len(lines) == 1, text
        assert sync == 0, synced.read_text()
        assert found == self.shown
        assert not not_finished(database)


def once_shown(database: Path, strike: Callable[[], None]) -> Callable[[], bool]:
    """What strikes as soon as there are points, and says whether it has."""

    def struck() -> bool:
        if not points(database):
            return False
        strike()
        return True

    return struck


def undisturbed(folder: Path, suite: Path) -> tuple[Any, dict[tuple[str, str, int], float]]:
    """The records and points of a run with the store's own database; the lag and the cost."""
    store, log = folder / "undisturbed", folder / "undisturbed.txt"
    run = command(store, log, "run", str(suite))
    lags = Lags(store, store / "mlflow.db")
    driver = watched(run, lags)
    assert run.returncode == 0, log.read_text()
    stages = [json.loads(path.read_text()) for path in store.glob("tokenizer/*/stage.json")]
    seconds = sum(stage["seconds"] for stage in stages)
    rows = sum(len(stage["result"]["history"]) for stage in stages)
    share = rows * seconds_of_a_row() / seconds
    print(
        f"lag of {len(lags.seconds)} of {rows} rows: {statistics.median(lags.seconds):.1f} s, at "
        f"most {max(lags.seconds):.1f} s; rows take {share:.5f} of the trainings' {seconds:.0f} s; "
        f"CPU of the driver: {driver:.0f} s; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    assert max(lags.seconds) <= LAG_SECONDS
    assert share <= SHARE_OF_A_STEP
    return records(store), points(store / "mlflow.db")


def main() -> None:
    """Run the suite undisturbed, then with each fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500, help="of each tokenizer")
    parser.add_argument("--only", choices=["down", "middle", "slow", "full"])
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tf-", dir="/tmp"))
    os.environ |= {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    suite = folder / "suite.yaml"
    suite.write_text(suite_text(given.steps), encoding="utf-8")
    faults = Faults(folder, suite, *undisturbed(folder, suite))

    def wanted(name: str) -> bool:
        return given.only in (None, name)

    if wanted("full") and os.geteuid() == 0:
        disk = Disk(folder / "disk")
        uri, full = f"sqlite:///{disk.database}", once_shown(disk.database, disk.fill)
        faults.run("full", uri, disk.database, disk.make_room, full)
        disk.close()
    for name in filter(wanted, ("down", "middle", "slow")):
        place = folder / f"{name}-server"
        place.mkdir()
        with server(place) as (port, database):
            proxy = Proxy(port)
            hit = once_shown(database, proxy.stop) if name == "middle" else lambda: True
            if name == "down":
                proxy.stop()
            proxy.late = SLOW_SECONDS * (name == "slow")
            faults.run(name, f"http://127.0.0.1:{proxy.port}", database, proxy.mend, hit)
            proxy.stop()
    print(f"logs: {folder}")


if __name__ == "__main__":
    main()
