"""`adatok-bench ui`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import click

from bench.commands.shared import say, store_option
from bench.errors import UserError
from bench.store import Store


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

    \b
    Examples:
      adatok-bench ui
      adatok-bench ui --store /data/store --port 5001
    """
    from bench import mlflow_mirror

    store = Store(Path(store_path).expanduser().absolute())
    if not (store.root / "mlflow.db").is_file():
        raise UserError(f"no tracking database in {store.root}; run a suite first, or give --store")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise UserError(f"--port: {port} is in use; give another one")
    uri = mlflow_mirror.tracking_uri(store)
    say(f"MLflow on http://127.0.0.1:{port}, ready in about half a minute; stop with Ctrl-C")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(port), "--backend-store-uri", uri]
    environment = {**os.environ, **mlflow_mirror.MLFLOW_ENVIRONMENT}
    sys.exit(subprocess.run(command, env=environment).returncode)
