import os
import shutil

import pandas as pd
import pytest

from bench.data.fingerprint import fingerprint
from bench.data.image_folder import require_readable
from bench.errors import UserError

LONG_AGO = 10**18


@pytest.fixture
def settled(folder):
    """The folder, last changed long ago."""
    for path in folder.rglob("*.png"):
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return folder


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "hashes" / "of_a_folder.parquet"


def read_by(call):
    """The fingerprint, and how many files were read for it."""
    told = []
    return call(progress=lambda done, total: told.append((done, total))), len(told)


def test_fingerprint_is_of_names_and_contents_not_of_the_place(folder, tmp_path, picture, save):
    before = fingerprint(folder)
    assert fingerprint(str(shutil.copytree(folder, tmp_path / "moved"))) == before
    (folder / "notes.txt").write_text("not an image")
    assert fingerprint(folder) == before
    (folder / "cat" / "01.png").rename(folder / "cat" / "renamed.png")
    renamed = fingerprint(folder)
    save(picture(123), folder / "dog" / "00.png")
    assert len({before, renamed, fingerprint(folder)}) == 3


@pytest.mark.parametrize("check", [fingerprint, require_readable])
def test_files_that_cannot_be_opened_are_named(folder, check):
    (folder / "gone.png").symlink_to(folder / "nothing.png")
    with pytest.raises(UserError, match=r"gone\.png"):
        check(folder)
    (folder / "gone.png").unlink()
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(UserError, match=r"pipe\.png"):
        check(folder)
    with pytest.raises(UserError, match="does not exist"):
        check(folder / "nowhere")


def test_files_that_are_readable_pass_unread(folder):
    images = list(folder.rglob("*.png"))
    for path in images:
        path.write_bytes(b"no image")
    assert len(require_readable(str(folder)).paths) == len(images)


def test_nothing_is_read_again_while_nothing_changes(settled, memory):
    told = []
    first = fingerprint(
        settled, memory=memory, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(done, 20) for done in range(1, 21)]
    assert first == fingerprint(settled)
    again, files = read_by(lambda progress: fingerprint(settled, memory=memory, progress=progress))
    assert (again, files) == (first, 0)
    assert [path.name for path in memory.parent.iterdir()] == [memory.name]


def change_content(path):
    path.write_bytes(path.read_bytes() + b"more")
    os.utime(path, ns=(LONG_AGO, LONG_AGO))


def change_content_but_neither_size_nor_time(path):
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(LONG_AGO, LONG_AGO))


def change_time(path):
    os.utime(path, ns=(LONG_AGO + 1, LONG_AGO + 1))


@pytest.mark.parametrize(
    "change", [change_content, change_content_but_neither_size_nor_time, change_time]
)
def test_what_changed_is_read_again(settled, memory, change):
    fingerprint(settled, memory=memory)
    change(settled / "cat" / "01.png")
    now, files = read_by(lambda progress: fingerprint(settled, memory=memory, progress=progress))
    assert files == 1
    assert now == fingerprint(settled)


def test_files_come_and_go(settled, memory):
    fingerprint(settled, memory=memory)
    (settled / "cat" / "01.png").rename(settled / "dog" / "01.png")
    now, files = read_by(lambda progress: fingerprint(settled, memory=memory, progress=progress))
    assert (now, files) == (fingerprint(settled), 1)
    assert "cat/01.png" not in set(pd.read_parquet(memory)["path"])


def test_a_file_that_changed_just_now_is_not_remembered(settled, memory):
    path = settled / "cat" / "01.png"
    os.utime(path)
    fingerprint(settled, memory=memory)
    assert set(pd.read_parquet(memory)["path"]) == {
        str(other.relative_to(settled)) for other in settled.rglob("*.png") if other != path
    }


def test_an_interrupted_reading_goes_on_where_it_stopped(settled, memory):
    def interrupt(done, total):
        if done == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fingerprint(settled, memory=memory, progress=interrupt)
    now, files = read_by(lambda progress: fingerprint(settled, memory=memory, progress=progress))
    assert (now, files) == (fingerprint(settled), 5)


def test_a_memory_can_be_used_without_being_written(settled, memory):
    fingerprint(settled, memory=memory, remember=False)
    assert not memory.exists()


def test_a_damaged_memory_is_as_good_as_none(settled, memory):
    memory.parent.mkdir()
    memory.write_bytes(b"no Parquet")
    assert fingerprint(settled, memory=memory) == fingerprint(settled)
    assert len(pd.read_parquet(memory)) == 20
