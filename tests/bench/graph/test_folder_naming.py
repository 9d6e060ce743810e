import os

import numpy as np
import pytest
from PIL import Image

from bench.data.fingerprint import fingerprint
from bench.data.image_folder import AS_FOUND
from bench.errors import UserError
from bench.graph import folder_naming
from bench.store.store import Store

LONG_AGO = 10**18


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for index in range(3):
        path = root / f"{index}.png"
        Image.fromarray(np.full((8, 8), index, np.uint8)).save(path)
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return root


def test_a_name_is_the_fingerprint_and_is_remembered_in_the_store(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_naming, "SAY_SECONDS", 0)
    store, said = Store(tmp_path / "store"), []
    for remember, lines in ((False, 3), (True, 3), (True, 0)):
        said.clear()
        name = folder_naming.by_content(store, remember=remember, say=said.append)
        assert name(str(folder), AS_FOUND) == fingerprint(folder)
        assert len(said) == lines
        assert store.file_hashes(folder).exists() == remember
    said.clear()
    other = Store(tmp_path / "other")
    folder_naming.by_content(other, remember=True, say=said.append)(str(folder), AS_FOUND)
    assert said == [f"reading {folder}: {done} of 3 files" for done in (1, 2, 3)]


def test_quick_reading_goes_unmentioned(folder, tmp_path):
    said = []
    name = folder_naming.by_content(Store(tmp_path / "store"), remember=True, say=said.append)
    name(str(folder), AS_FOUND)
    assert said == []


def test_folders_do_not_share_what_is_remembered(folder, tmp_path):
    store = Store(tmp_path / "store")
    assert store.file_hashes(folder) != store.file_hashes(tmp_path)
    assert store.file_hashes(folder) == store.file_hashes(str(folder))


def test_a_store_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "file").write_text("")
    name = folder_naming.by_content(Store(tmp_path / "file" / "store"), remember=True, say=print)
    with pytest.raises(UserError, match=r"cannot write to the store .*--store"):
        name(str(folder), AS_FOUND)


def test_no_file_is_read_where_no_key_is_needed(folder):
    said = []
    name = folder_naming.without_reading(said.append)
    assert name(str(folder), AS_FOUND) != fingerprint(folder)
    assert said == [f"image folder {folder}: 3 images, divided by content; 1 class"]
    (folder / "gone.png").symlink_to(folder / "nothing.png")
    with pytest.raises(UserError, match=r"gone\.png"):
        name(str(folder), AS_FOUND)
