import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.commands.suites import ui

# A server that leaves a worker behind, which does not end when asked.
SERVER = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
signal.signal(signal.SIGTERM, signal.SIG_DFL)
print(worker.pid, flush=True)
{end}
"""
DRIVER = """
import os, signal, sys
from bench.commands.suites import ui
# What the tests' own parent ignores would be ignored here too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
ui.SECONDS_TO_END = 0.5
sys.exit(ui._run_group([sys.executable, "-c", sys.argv[1]], dict(os.environ)))
"""


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def drive(end):
    command = [sys.executable, "-c", DRIVER, SERVER.replace("{end}", end)]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return driver, int(driver.stdout.readline())


def wait_until_gone(pid):
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopping_leaves_no_process(number):
    driver, worker = drive("time.sleep(60)")
    assert is_running(worker)
    os.kill(driver.pid, number)
    driver.communicate(timeout=20)
    assert driver.returncode == 0
    wait_until_gone(worker)


def test_a_server_that_ends_by_itself_leaves_none_either():
    driver, worker = drive("sys.exit(3)")
    driver.communicate(timeout=20)
    assert driver.returncode == 3
    wait_until_gone(worker)


def test_it_listens_on_loopback_only_without_a_queue_of_jobs(tmp_path, monkeypatch):
    (tmp_path / "mlflow.db").touch()
    ran = []
    monkeypatch.setattr(ui, "_run_group", lambda *given: ran.append(given) or 0)
    with pytest.raises(SystemExit) as stop:
        ui.ui.callback(str(tmp_path), 5091)
    assert stop.value.code == 0
    ((command, environment),) = ran
    options = dict(zip(command[4::2], command[5::2], strict=True))
    assert options == {
        "--host": "127.0.0.1",
        "--workers": "1",
        "--port": "5091",
        "--backend-store-uri": f"sqlite:///{tmp_path}/mlflow.db",
    }
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
