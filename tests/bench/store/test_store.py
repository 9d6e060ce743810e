import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.files import canonical_json, content_key, write_json, write_text, written_aside
from bench.store.store import Store, disk_error


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "store")


def files_under(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_canonical_json_is_one_text_per_value():
    assert canonical_json({"b": [1, 2.5, None], "a": {"y": True, "x": "é"}}) == (
        '{"a":{"x":"\\u00e9","y":true},"b":[1,2.5,null]}'
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_keys_stay_what_they_are():
    """A changed key would orphan every artifact that exists."""
    value = {"stage": "data", "config": {"resolution": 32, "seed": 0}, "inputs": {}}
    assert content_key(value) == "60b509ae870bf29e"
    assert content_key(dict(reversed(value.items()))) == content_key(value)
    assert content_key((1, 2)) == content_key([1, 2])
    assert len({content_key(v) for v in (1, 1.0, "1", True, None, [1])}) == 6


def test_write_text_replaces_whole_files(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_text(path, "old")
    write_text(path, "new ü")
    assert path.read_text("utf-8") == "new ü"
    assert files_under(tmp_path) == ["new/file.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_text_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert files_under(tmp_path) == ["file.txt"]


def test_an_error_names_the_file_and_not_the_one_aside(tmp_path):
    path = tmp_path / "nowhere" / "file.txt"
    with pytest.raises(FileNotFoundError) as error, written_aside(path) as aside:
        aside.write_text("new")
    assert error.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as error, written_aside(tmp_path / "model") as aside:
        (aside / "inner" / "file.txt").write_text("new")
    assert error.value.filename == str(tmp_path / "model" / "inner" / "file.txt")


def test_text_that_cannot_be_encoded_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "file.txt", "\udcff")
    assert files_under(tmp_path) == []


def test_nan_is_written_as_null_and_infinity_refused(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"a": [float("nan"), 1.5], "b": {"c": (float("nan"),)}})
    assert json.loads(path.read_text()) == {"a": [None, 1.5], "b": {"c": [None]}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("inf")})
    assert json.loads(path.read_text())["a"] == [None, 1.5]


def test_an_artifact_appears_complete_or_not_at_all(store, monkeypatch):
    work = store.work("data", "k")
    work.mkdir(parents=True)
    (work / "images.npy").write_bytes(b"pixels")

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            store.publish("data", "k", {"count": 1})
    assert not store.has("data", "k")
    assert not store.artifact("data", "k").exists()
    assert (work / "images.npy").exists()

    assert store.publish("data", "k", {"count": 1}) == store.artifact("data", "k")
    assert store.has("data", "k")
    assert files_under(store.artifact("data", "k")) == ["images.npy", "stage.json"]
    found = store.description("data", "k")
    sha256 = hashlib.sha256(b"pixels").hexdigest()
    files = {"images.npy": {"bytes": 6, "sha256": sha256}}
    assert found == {"stage": "data", "key": "k", "count": 1, "files": files}
    assert not work.exists()


def test_a_folder_without_description_is_no_artifact_and_is_set_aside(store):
    stray = store.artifact("data", "k")
    stray.mkdir(parents=True)
    (stray / "junk").write_text("junk")
    assert not store.has("data", "k")
    store.work("data", "k").mkdir(parents=True)
    store.publish("data", "k", {})
    assert files_under(stray) == ["stage.json"]
    (aside,) = (store.root / "damaged").iterdir()
    assert files_under(aside) == ["junk"]


def test_a_failure_is_remembered_until_the_stage_succeeds(store):
    assert store.failure("bank", "k") is None
    store.record_failure("bank", "k", "ValueError: no")
    store.record_failure("bank", "k", "ValueError: still no")
    assert store.failure("bank", "k") == "ValueError: still no"
    assert store.failure("bank", "other") is None
    assert store.failure("data", "k") is None
    store.work("bank", "k").mkdir(parents=True)
    store.publish("bank", "k", {})
    assert store.failure("bank", "k") is None


HOLD = """
import sys, time
from pathlib import Path
from bench.store.store import Store
with Store(Path(sys.argv[1])).locked("stage"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_against_other_processes_until_its_holder_is_killed(store):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.root)], stdout=subprocess.PIPE, text=True
    )
    acquired = threading.Event()

    def wait():
        with store.locked("stage"):
            acquired.set()

    waiting = threading.Thread(target=wait, daemon=True)
    try:
        assert holder.stdout.readline() == "held\n"
        waiting.start()
        assert not acquired.wait(0.3)
        with store.locked("another"):
            pass
    finally:
        holder.kill()
        holder.communicate()
    assert acquired.wait(10)
    waiting.join(10)


def test_open_makes_the_folder_and_leaves_no_probe(tmp_path):
    store = Store.open(str(tmp_path / "a" / "b"))
    assert store.root == tmp_path / "a" / "b"
    assert list(store.root.iterdir()) == []
    assert Store.open(store.root) == store


def test_open_takes_relative_paths_and_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Store.open("s").root == tmp_path / "s"
    assert Store.open("~/s").root == tmp_path / "home" / "s"


@pytest.mark.parametrize("path", ["file/store", "file", "/proc/store", "/sys/store"])
def test_an_unusable_path_is_refused_in_one_line(tmp_path, path):
    (tmp_path / "file").write_text("")
    path = tmp_path / path
    with pytest.raises(
        UserError, match=r"^cannot write to the store .*, or give --store$"
    ) as error:
        Store.open(path)
    assert str(path) in str(error.value)


def test_a_read_only_store_is_named_and_not_what_was_tried(tmp_path, monkeypatch):
    def read_only(path, *args, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "open", read_only)
    with pytest.raises(UserError) as error:
        Store.open(tmp_path)
    assert str(error.value) == (
        f"cannot write to the store {tmp_path}: Read-only file system; make it writable, or give "
        "--store"
    )


def test_a_full_disk_is_found_out_before_anything_runs(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device; free space there, or give"):
        Store.open(tmp_path)
    assert files_under(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space there"),
        (errno.EDQUOT, "free space there"),
        (errno.EROFS, "make it writable"),
        (errno.EACCES, "make it writable"),
    ],
)
def test_a_disk_error_says_what_to_do(tmp_path, number, remedy):
    error = disk_error(tmp_path, OSError(number, "Error writing bytes to file. Detail: ..."))
    assert str(error) == (
        f"cannot write to the store {tmp_path}: {os.strerror(number)}; {remedy}, or give --store"
    )


def test_a_file_elsewhere_is_named_and_not_the_store(tmp_path):
    elsewhere = tmp_path / "photos" / "a.png"
    error = PermissionError(errno.EACCES, "Permission denied", str(elsewhere))
    for store in (tmp_path / "store", None):
        assert str(disk_error(store, error)) == (
            f"{elsewhere}: Permission denied; change its permissions, or choose another one"
        )


def test_a_file_of_the_store_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "bank" / "stage.json"
    path.parent.mkdir()
    path.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)
    error = PermissionError(errno.EACCES, "Permission denied", str(path))
    assert str(disk_error(tmp_path, error)).startswith(f"cannot read {path}: Permission denied; ")


def test_a_file_system_without_locks_is_refused_with_the_reason(tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("bench.store.store.fcntl.flock", refuse)
    with pytest.raises(UserError) as refused:
        Store.open(tmp_path / "store")
    assert str(refused.value).startswith(
        f"the store {tmp_path / 'store'}: its file system has no file locks (Function not "
    )
    assert "-o flock" in str(refused.value)
    assert not list((tmp_path / "store").iterdir())
