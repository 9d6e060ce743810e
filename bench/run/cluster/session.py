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
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.errors import UserError
from bench.run.own_folder import own_folder, remove_left, remove_own
from bench.run.quiet import output_to
from bench.store.provenance import provenance

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the run; Tune would call it a result.
    # Nobody reads what Tune writes down: the store has all that a run goes on from.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
}
# On a machine with ten busy processes per core, its start took more than a minute.
START_SECONDS, JOIN_SECONDS = 180.0, 50.0
ANSWER_SECONDS, END_SECONDS = 10.0, 5.0
SECONDS_BETWEEN_LOOKS, SILENT_SECONDS, HEARING_SECONDS = 1.0, 20.0, 15.0
# Ray's sockets lie up to 86 bytes below that folder, and their paths may have 107 (AF_UNIX).
LONGEST_PARENT = 20
FOLDER = "adatok-ray-"
SERVERS = ("raylet", "gcs_server")
SERIAL = "--executor serial runs without Ray"


class RaySession:
    """A Ray of our own on this machine, or the cluster at `address`.

    A cluster that is there already is joined only by its address: `RAY_ADDRESS` is not heeded.
    """

    def __init__(self, address: str | None):
        self.address = None if address == "local" else address
        self.room = (0.0, 0.0)
        self.memory = 0.0
        self.largest: dict[str, float] = {}
        self.on_one_node = ""
        self._stack: ExitStack | None = None
        self._servers: dict[str, psutil.Process] = {}
        self._processes: set[psutil.Process] = set()
        self._died: UserError | None = None

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
        folder = self._stack.enter_context(own_folder(_short_folder(), FOLDER))
        self._stack.enter_context(output_to(folder / "driver.log"))
        before = set(psutil.Process().children())
        try:
            seconds = START_SECONDS if self.address is None else JOIN_SECONDS
            with self._ended_after(seconds, self._failed("took too long")):
                self._init(folder)
        except Exception as error:  # Ray raises nearly anything.
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise UserError(self._failed(lines[0])) from error
        finally:
            started = set(psutil.Process().children()) - before
            self._processes = started
            for process in started:
                with contextlib.suppress(psutil.NoSuchProcess):
                    if process.name() in SERVERS:
                        self._servers[process.name()] = process

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
                "_temp_dir": str(folder / "r"),  # Ray lets everybody enter it.
            }
        else:
            options["address"] = self.address
        ray: Any = importlib.import_module("ray")
        with _handler_kept():
            ray.init(**options)
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        self.count()

    def count(self) -> None:
        """Count CPUs, GPUs and bytes of the nodes that are there now: of all, and `largest`."""
        ray: Any = importlib.import_module("ray")
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        amounts = {n: [node.get(n, 0.0) for node in nodes] for n in ("CPU", "GPU", "memory")}
        self.room = (sum(amounts["CPU"]), sum(amounts["GPU"]))
        self.memory = sum(amounts["memory"])
        self.largest = {name: max(there, default=0.0) for name, there in amounts.items()}
        self.on_one_node = " on one node" * (len(nodes) > 1)

    def _failed(self, reason: str) -> str:
        if self.address is None:
            return f"Ray did not start on this machine ({reason}); try again, or {SERIAL}"
        return (
            f"--ray-address {self.address}: no Ray cluster could be joined ({reason}); "
            f"give another address, or leave it away to run on this machine"
        )

    @property
    def dead(self) -> bool:
        """Whether `watched` knows that Ray has died."""
        return self._died is not None

    def require_alive(self) -> None:
        """Refuse to go on with a Ray of which `watched` knows that it has died.

        Raises:
            UserError: Ray would wait for it, and then end this process without a word.
        """
        if self._died is not None:
            raise self._died

    @contextmanager
    def watched(self, doing: Callable[[], str]) -> Iterator[None]:
        """While the block runs, look every second whether Ray is still there.

        Where Ray keeps this process from hearing of it, it is ended with that one line.
        """
        left = threading.Event()

        def watch() -> None:
            silent = 0.0
            while not left.wait(SECONDS_BETWEEN_LOOKS):
                self._look()
                gone = self._gone()
                silent = 0.0 if gone is None else silent + SECONDS_BETWEEN_LOOKS
                if gone is None or (self.address and silent < SILENT_SECONDS):
                    continue  # A moment's silence of a cluster is no death.
                self._died = UserError(
                    f"{gone} during {doing()}; the same command goes on from here; {SERIAL}"
                )
                if not left.wait(HEARING_SECONDS):
                    self._end(str(self._died))
                return

        thread = threading.Thread(target=watch, name="Ray", daemon=True)
        thread.start()
        try:
            yield
        finally:
            left.set()

    def _gone(self) -> str | None:
        """The part of Ray that is gone, if one is."""
        for name, server in self._servers.items():
            if not _runs(server):
                return f"Ray's {name} died (killed, perhaps out of memory)"
        try:
            _require_answer(self.address or "")
        except UserError:
            return f"--ray-address {self.address}: the cluster has gone"
        return None

    def _look(self) -> None:
        """Remember all processes of our Ray: workers outlive a raylet that is killed."""
        for server in self._servers.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                self._processes |= set(server.children(recursive=True))

    def close(self) -> None:
        """End a Ray of our own with all its processes, or leave the cluster."""
        if self._stack is None:
            return
        with self._stack, ExitStack() as bound:
            self._stack = None
            self._look()
            if self._died is not None:  # Ray may wait for what has died.
                bound.enter_context(self._ended_after(HEARING_SECONDS, str(self._died)))
            _shut_down()
            _, left = psutil.wait_procs(list(self._processes), timeout=END_SECONDS)
            _kill(left)

    @contextmanager
    def _ended_after(self, seconds: float, message: str) -> Iterator[None]:
        """End this process with one line if the block takes longer: Ray cannot be interrupted."""
        timer = threading.Timer(seconds, self._end, [message])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end(self, message: str) -> None:
        print(f"error: {message}", file=sys.stderr, flush=True)
        processes = [*self._processes, *psutil.Process().children(recursive=True)]
        _kill(processes)
        psutil.wait_procs(processes, timeout=END_SECONDS)  # They write to what is removed now.
        remove_own()
        os._exit(2)


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
def _handler_kept() -> Iterator[Callable[[], None]]:
    """Keep what this program does on SIGTERM, for which Ray sets a handler of its own.

    Gives a function that sets it again at once.
    """
    before = signal.getsignal(signal.SIGTERM)

    def keep() -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)

    try:
        yield keep
    finally:
        keep()


def _shut_down() -> None:
    """End Ray, whose core takes handlers of SIGTERM away before Ray waits for its processes."""
    ray: Any = importlib.import_module("ray")
    node = importlib.import_module("ray._private.worker")._global_node
    with _handler_kept() as keep:
        if node is not None:
            kill = node.kill_all_processes
            node.kill_all_processes = lambda *how, **more: (keep(), kill(*how, **more))
        ray.shutdown()


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


def remove_dead() -> None:
    """Remove what Rays of killed runs have left on this machine, processes and folders."""
    for folder in _folders():
        remove_left(Path(folder), FOLDER)


def _folders() -> tuple[str, ...]:
    return (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")


def _short_folder() -> Path:
    """The folder for temporary files, or another one where its path is too long for Ray."""
    for folder in _folders():
        if len(os.fsencode(folder)) <= LONGEST_PARENT and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder)
    raise UserError(
        f"Ray needs a writable folder whose path has at most {LONGEST_PARENT} bytes; "
        f"set TMPDIR to one, or {SERIAL}"
    )
