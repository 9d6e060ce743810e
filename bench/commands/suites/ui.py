"""`adatok-bench ui`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import click

from bench.commands.support.shared import say, store_option
from bench.errors import UserError
from bench.store.store import Store

SECONDS_TO_END = 5.0


@click.command()
@store_option
@click.option(
    "--port",
    default=5000,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Of 127.0.0.1.",
)
def ui(store_path: str, port: int) -> None:
    """Open MLflow over the store, on loopback only.

    Ctrl-C stops it.

    \b
    Examples:
      adatok-bench ui
      adatok-bench ui --store /data/store --port 5001
    """
    from bench.tracker.connection import MLFLOW_ENVIRONMENT, tracking_uri
    from bench.tracker.moved import follow

    store = Store(Path(store_path).absolute())
    database = store.root / "mlflow.db"
    if not database.is_file():
        raise UserError(
            f"no tracking database in {store.root}; run a suite first or adatok-bench sync, or "
            "give --store"
        )
    try:
        follow(store)
    except sqlite3.Error as error:
        raise UserError(
            f"{database}: {error}; end whoever holds it, or remove it: adatok-bench sync makes it "
            "anew"
        ) from error
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserError(
                f"--port: {port} cannot be had ({error.strerror}); give another one"
            ) from None
    say(f"MLflow on http://127.0.0.1:{port}, ready in about half a minute; stop with Ctrl-C")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(port), "--backend-store-uri", tracking_uri(store)]
    # Its queue of jobs serves what is not used here, and its workers outlive the server.
    environment = {
        **os.environ,
        **MLFLOW_ENVIRONMENT,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    sys.exit(_run_group(command, environment))


def _run_group(command: list[str], environment: dict[str, str]) -> int:
    """Run a command in a process group of its own, of which nothing is left when this returns.

    Gives its exit code, and 0 where it was stopped from outside: there is no other end to it.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the group: asked first, then killed, whether its first process is still there or not."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
