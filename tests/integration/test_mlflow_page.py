"""MLflow's own page over a store, started by `ui` and opened in a browser."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
SECONDS = 120  # An idle machine needs 15.
pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"no {CHROMIUM}; install Debian's package chromium"
)


@pytest.fixture
def store(small_run, adatok, tmp_path):
    """A copy of the small run's store, with MLflow's database."""
    store = tmp_path / "store"
    shutil.copytree(small_run.store.root, store)
    answer = adatok("run", small_run.suite.path, "--store", store, "--executor", "serial")
    assert answer.code == 1  # Two of its cells diverge.
    assert (store / "mlflow.db").is_file()
    return store


@pytest.fixture
def address(store, tmp_path):
    """Where `adatok-bench ui` serves the store, on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from bench.commands.cli import main; main()", "ui"]
    with (tmp_path / "ui.txt").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--store", store, "--port", str(port)],
            **{"stdout": log, "stderr": log, "start_new_session": True},
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{url}/health", process)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait_for(url, process):
    """Until the server answers; fails where it ends, or takes too long."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, "ui has ended"
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.25)
        else:
            return
    pytest.fail(f"{url} did not answer within {SECONDS} s")


def test_mlflow_shows_the_suite_with_its_cells_below_it(address, small_run):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(1000 * SECONDS)
        page.goto(f"{address}/#/experiments/1/runs")
        parent = page.get_by_role("gridcell").filter(
            has=page.get_by_role("link", name=small_run.suite.name, exact=True)
        )
        parent.get_by_role("button").first.click()  # It unfolds.
        names = {record.label for record in small_run.result.records}
        for name in names:
            page.get_by_role("link", name=re.compile(f"^{re.escape(name)}$")).first.wait_for()
        assert page.get_by_text(f"{len(names) + 1} matching runs").is_visible()
        browser.close()
