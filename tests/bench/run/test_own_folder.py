import subprocess
import sys

import psutil
import pytest

from bench.run.own_folder import own_folder, remove_own

HOLDER = """
import sys, time
from pathlib import Path
from bench.run.own_folder import own_folder
with own_folder(Path(sys.argv[1]), "ray-") as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that has a folder of its own, and what it said of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_nothing_is_left_of_it(tmp_path):
    with own_folder(tmp_path / "work", "ray-") as folder:
        (folder / "state").write_text("")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert names(tmp_path / "work") == []


def test_those_of_the_dead_go_and_those_of_the_living_stay(tmp_path, holder):
    process, of_living = holder
    (tmp_path / "ray-417").mkdir()  # Of a version without locks.
    (tmp_path / "other").mkdir()
    with own_folder(tmp_path, "ray-"):
        assert [n for n in names(tmp_path) if n.endswith(of_living[-8:])]
        assert "ray-417" not in names(tmp_path)
        process.kill()
        process.wait()
    assert names(tmp_path) == ["other"]


def test_what_the_dead_started_is_ended_if_it_still_writes_there(tmp_path):
    left = tmp_path / "ray-417"
    left.mkdir()
    log = left / "agent.log"
    with log.open("w") as written, log.open() as read:
        writer = subprocess.Popen(["sleep", "60"], stdout=written)
        reader = subprocess.Popen(["sleep", "60"], stdin=read)
    with own_folder(tmp_path, "ray-"):
        assert not psutil.pid_exists(writer.pid)
        assert psutil.pid_exists(reader.pid)
        assert not left.exists()
    for process in (writer, reader):
        process.kill()
        process.wait()


def test_whoever_ends_the_process_can_remove_all_it_has(tmp_path):
    with own_folder(tmp_path, "ray-") as one, own_folder(tmp_path, "logs-") as other:
        (one / "state").write_text("")
        assert other.is_dir()
        remove_own()
        assert names(tmp_path) == []
    assert names(tmp_path) == []
