import os
import tarfile

import pytest
from PIL import Image

from bench.data.image_folder import list_images
from bench.data.sources import shard_writing
from bench.data.sources.places import expand
from bench.data.sources.shard_writing import write_shards
from bench.data.sources.survey import survey
from bench.errors import UserError

from .conftest import encoded


@pytest.fixture
def write(tree, tmp_path):
    def write(out="out", size=4000, progress=lambda count: None):
        return write_shards(list_images(tree), tmp_path / out, size=size, progress=progress)

    return write


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_shards_hold_files_as_they_are_with_numbers_of_classes(write, tree, tmp_path):
    told = []
    written = write(progress=told.append)
    found, kinds = {}, set()
    for path in sorted((tmp_path / "out").glob("*.tar")):
        kinds.add(path.name.split("-")[0])
        with tarfile.open(path) as archive:
            members = {member.name: archive.extractfile(member).read() for member in archive}
        assert path.stat().st_size <= 4000 + 10240
        found |= members
    files = {path.relative_to(tree).as_posix(): path for path in tree.rglob("*.png")}
    assert {name: found[name] for name in files} == {n: p.read_bytes() for n, p in files.items()}
    assert found["train/b/01.cls"] == b"1"
    assert (tmp_path / "out" / "classes.txt").read_text() == "a\nb\n"
    assert kinds == {"train", "validation"}
    assert (written.images, sum(told), written.renamed) == (12, 12, 0)
    assert len(expand([written.patterns["train"]], key="train")) > 1
    assert len(contents(tmp_path / "out")) == written.shards + 1


def test_they_are_the_same_each_time_and_an_interrupted_command_goes_on(
    write, tmp_path, monkeypatch
):
    write("whole")

    def killed(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(progress=killed)
    begun = list(contents(tmp_path / "out"))
    assert "train-000000.tar" in begun
    read = []
    original = shard_writing._bytes_of
    monkeypatch.setattr(
        shard_writing, "_bytes_of", lambda member: read.append(member) or original(member)
    )
    write()
    assert 0 < len(read) < 12
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_other_shards_in_the_place_are_refused(write, tree):
    write()
    with pytest.raises(UserError, match="another shard than this folder and --size give"):
        write(size=8000)
    for path in list(tree.rglob("*.png")):
        if path.parts[-3] == "train" and path.name != "01.png":
            path.unlink()
    with pytest.raises(UserError, match=r"another shard|of other shards"):
        write()


def test_names_become_keys_that_webdataset_reads(tree, write, shards):
    Image.new("RGB", (20, 20)).save(tree / "train" / "a" / "x.1.jpg")
    (tree / "train" / "a" / "bare").write_bytes(encoded(50))
    assert write().renamed == 2
    names = set(survey(shards(), resolution=16).images["name"])
    assert {"train/a/x_1.jpg", "train/a/bare.png"} <= names
    (tree / "train" / "a" / "x_1.png").write_bytes(encoded(51))
    with pytest.raises(UserError, match=r"x\.1\.jpg and .*x_1\.png would have one key"):
        write("other")


def test_a_file_that_changes_meanwhile_is_one_line(tree, write, monkeypatch):
    original = os.stat
    monkeypatch.setattr(
        shard_writing,
        "_member",
        lambda path, name, label: shard_writing._Member(
            path, name, original(path).st_size + 1, label
        ),
    )
    with pytest.raises(UserError, match="has changed meanwhile"):
        write()
