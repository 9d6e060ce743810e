"""Ray for one run: started on this machine or joined, in bounded time, quiet, leaving nothing."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.errors import UserError
from bench.run.own_folder import own_folder
from bench.run.quiet import output_to
from bench.store.provenance import provenance

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the run; Tune would call it a result.
}
START_SECONDS, ANSWER_SECONDS, END_SECONDS = 50.0, 10.0, 5.0
SECONDS_BETWEEN_LOOKS, SILENT_SECONDS = 1.0, 20.0
# Ray's sockets lie 64 to 84 bytes below its folder, and their paths may have 107 (AF_UNIX).
LONGEST_PARENT = 20
SERVERS = ("raylet", "gcs_server")
SERIAL = "--executor serial runs without Ray"


class RaySession:
    """A Ray of our own on this machine, or the cluster at `address`.

    A cluster that is there already is joined only by its address: `RAY_ADDRESS` is not heeded.
    """

    def __init__(self, address: str | None):
        self.address = None if address == "local" else address
        self.resources: dict[str, float] = {}
        self._stack: ExitStack | None = None
        self._servers: dict[str, psutil.Process] = {}
        self._processes: set[psutil.Process] = set()
        self._looked = 0.0
        self._answered = 0.0

    def __reduce__(self) -> tuple[type[RaySession], tuple[str | None]]:
        """Tune writes its callbacks down, which know this; nobody reads them."""
        return RaySession, (self.address,)

    def start(self) -> None:
        """Start or join, unless that is done.

        Raises:
            UserError: Ray does not start, or nothing answers at the address.
        """
        if self._stack is not None:
            return
        if self.address is not None:
            _require_answer(self.address)
        self._stack = ExitStack()
        folder = self._stack.enter_context(own_folder(_short_folder(), "adatok-ray-"))
        self._stack.enter_context(output_to(folder / "driver.log"))
        before = set(psutil.Process().children())
        try:
            with _ended_after(START_SECONDS, self._failed("took too long")):
                self._init(folder)
            self._answered = time.monotonic()
        except Exception as error:  # Ray raises nearly anything.
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise UserError(self._failed(lines[0])) from error
        finally:
            started = set(psutil.Process().children()) - before
            self._servers = {one.name(): one for one in started if one.name() in SERVERS}
            self._processes = started

    def _init(self, folder: Path) -> None:
        os.environ.update(ENVIRONMENT)
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
        if self.address is None:
            # Ray's own processes would follow it elsewhere.
            os.environ.pop("RAY_ADDRESS", None)
            os.environ.setdefault("RAY_AUTH_MODE", "disabled")
            options |= {
                "address": "local",
                "num_cpus": provenance()["cpus"],
                "include_dashboard": False,
                "object_store_memory": 200 << 20,
                "_temp_dir": str(folder),
            }
        else:
            options["address"] = self.address
        ray: Any = importlib.import_module("ray")
        with _handler_kept():
            ray.init(**options)
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        self.resources = ray.cluster_resources()

    def _failed(self, reason: str) -> str:
        if self.address is None:
            return f"Ray did not start on this machine ({reason}); try again, or {SERIAL}"
        return (
            f"--ray-address {self.address}: no Ray cluster could be joined ({reason}); "
            f"give another address, or leave it away to run on this machine"
        )

    def require_alive(self, doing: str) -> None:
        """Look, at most once a second, whether our own Ray is still there.

        Raises:
            UserError: one of its servers has died; Ray would wait, then end this process.
        """
        if time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        if self.address is not None:
            self._require_cluster(doing)
        self._look()
        for name, server in self._servers.items():
            if not _runs(server):
                raise UserError(
                    f"Ray's {name} died during {doing} (killed, perhaps for lack of memory); "
                    f"the same command goes on from here; {SERIAL}"
                )

    def _require_cluster(self, doing: str) -> None:
        """Refuse to wait for a cluster that has gone; a moment's silence is none."""
        try:
            _require_answer(self.address or "")
            self._answered = self._looked
        except UserError as error:
            if self._looked - self._answered > SILENT_SECONDS:
                raise UserError(
                    f"{error} (it went during {doing}; the same command goes on from here)"
                ) from None

    def _look(self) -> None:
        """Remember all processes of our Ray: workers outlive a raylet that is killed."""
        for server in self._servers.values():
            if _runs(server):
                self._processes |= set(server.children(recursive=True))

    def close(self) -> None:
        """End a Ray of our own with all its processes, or leave the cluster."""
        if self._stack is None:
            return
        with self._stack:
            self._stack = None
            self._look()
            import ray

            ray.shutdown()
            _, left = psutil.wait_procs(list(self._processes), timeout=END_SECONDS)
            _kill(left)


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def _ended_after(seconds: float, message: str) -> Iterator[None]:
    """End this process with one line if the block takes longer: Ray cannot be interrupted."""

    def end() -> None:
        print(f"error: {message}", file=sys.stderr, flush=True)
        _kill(psutil.Process().children(recursive=True))
        os._exit(2)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _handler_kept() -> Iterator[None]:
    """Keep what this program does on SIGTERM, for which Ray sets a handler of its own."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _require_answer(address: str) -> None:
    """Refuse an address where nothing listens: Ray would try for long, and write a log of it."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon:
        return  # `auto`, or an address that Ray refuses.
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"--ray-address {address}: nothing answers there ({reason}); give the address of a "
            "running Ray cluster, or leave it away to run on this machine"
        ) from None


def _short_folder() -> Path:
    """The folder for temporary files, or another one where its path is too long for Ray."""
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):
        if len(os.fsencode(folder)) <= LONGEST_PARENT and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder)
    raise UserError(
        f"Ray needs a writable folder whose path has at most {LONGEST_PARENT} bytes; "
        f"set TMPDIR to one, or {SERIAL}"
    )
