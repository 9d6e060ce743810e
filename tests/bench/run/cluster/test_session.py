import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.run.cluster import session as ray_session
from bench.run.cluster.session import LONGEST_PARENT, RaySession

JOINER = """
import sys
from bench.run.cluster import session as ray_session
ray_session.JOIN_SECONDS = 3.0
ray_session.RaySession(sys.argv[1]).start()
"""
DRIVER = r"""
import os, re, signal, sys, time, psutil, ray
from pathlib import Path
from ray._private.node import Node
from bench.errors import UserError
from bench.run.cluster.session import RaySession
terms, kill = [], Node.kill_all_processes

def killing(*how, **more):
    os.kill(os.getpid(), signal.SIGTERM)
    return kill(*how, **more)

Node.kill_all_processes = killing
signal.signal(signal.SIGTERM, lambda *which: terms.append(which))
session = RaySession(None)
session.start()
print("kept back")
address = ray.get_runtime_context().gcs_address
raylet = session._servers["raylet"]
place = re.search(r"/tmp/adatok-ray-[0-9a-f]+", " ".join(raylet.cmdline()))[0]
try:
    with session.watched(lambda: "tokenizer-1"):
        session.require_alive()
        raylet.kill()
        time.sleep(3)
        session.require_alive()
finally:
    session.close()
    os.kill(os.getpid(), signal.SIGTERM)
    left = len(psutil.Process().children())
    print(address, psutil.pid_exists(raylet.pid), left, place, len(terms))
"""


def test_an_address_where_nothing_listens_is_one_line():
    session = RaySession("127.0.0.1:9")
    with pytest.raises(UserError, match=r"^--ray-address 127\.0\.0\.1:9: nothing answers there \("):
        session.start()
    session.close()


@pytest.fixture
def short():
    """A folder for temporary files that Ray takes."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as folder:
        yield Path(folder)


def test_an_address_that_never_answers_is_given_up_and_nothing_is_left(short):
    environment = {**os.environ, "TMPDIR": str(short)}
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        command = [sys.executable, "-c", JOINER, f"127.0.0.1:{silent.getsockname()[1]}"]
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environment
        )
    assert answer.returncode == 2
    assert not list(short.glob("adatok-ray-*"))
    (line,) = answer.stderr.splitlines()
    assert line.startswith("error: --ray-address 127.0.0.1:")
    assert "took too long" in line
    assert answer.stdout == ""


def test_a_start_that_fails_names_the_way_without_ray(monkeypatch):
    def fail(self, folder):
        raise RuntimeError("no room\nfor a raylet")

    monkeypatch.setattr(RaySession, "_init", fail)
    session = RaySession(None)
    with pytest.raises(UserError) as error:
        session.start()
    assert str(error.value) == (
        "Ray did not start on this machine (no room); try again, or --executor serial runs "
        "without Ray"
    )
    session.close()


def test_a_long_folder_for_temporary_files_is_not_used(monkeypatch):
    monkeypatch.setattr(ray_session.tempfile, "gettempdir", lambda: "/tmp/" + "long" * 30)
    assert len(str(ray_session._short_folder())) <= LONGEST_PARENT
    monkeypatch.setattr(ray_session.os, "access", lambda *asked: False)
    with pytest.raises(UserError, match="set TMPDIR"):
        ray_session._short_folder()


def test_a_ray_of_our_own_whatever_is_there_and_one_line_when_its_raylet_dies(tmp_path):
    """With a cluster in the environment that is dead, and a temporary folder that is too long."""
    long = tmp_path / ("long" * 20)
    long.mkdir()
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:9", "TMPDIR": str(long)}
    began = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-c", DRIVER], capture_output=True, text=True, env=environment, timeout=200
    )
    assert time.monotonic() - began < 120
    address, exists, children, folder, terms = answer.stdout.split()
    assert not address.endswith(":9")
    assert (exists, children) == ("False", "0")
    assert terms == "2"  # Heard while Ray ended, and after it.
    line = answer.stderr.splitlines()[-1]
    assert "Ray's raylet died (killed, perhaps out of memory) during tokenizer-1; the" in line
    assert "--executor serial" in line
    assert "state-dump" not in answer.stderr
    assert not Path(folder).exists()
