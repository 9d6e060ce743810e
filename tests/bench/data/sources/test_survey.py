import os
import shutil
from dataclasses import replace

import pytest

from bench.data.image_folder import list_images
from bench.data.manifest import build_manifest
from bench.data.sources import reading, workers
from bench.data.sources import survey as surveying
from bench.data.sources.places import FolderSource, ShardSource
from bench.data.sources.survey import survey
from bench.errors import UserError

from .conftest import LONG_AGO, encoded


@pytest.fixture
def folder(tree):
    return FolderSource(str(tree))


@pytest.fixture
def read(monkeypatch):
    """Places that were read, in order."""
    found = []
    original = reading.read_places

    def read_places(task):
        rows = original(task)
        found.extend(place for place, _ in task["places"])
        return rows

    monkeypatch.setattr(workers, "read_places", read_places)
    return found


def test_it_knows_what_a_manifest_knows(folder, tree):
    manifest = build_manifest(tree)
    found = survey(folder, resolution=16)
    images = found.readable
    assert list(images["name"]) == sorted(manifest.files["path"])
    files = manifest.files.set_index("path").loc[images["name"]]
    for ours, theirs in (
        ("sha256", "file_sha256"),
        ("split", "own_split"),
        ("size", "file_size"),
        *((name, name) for name in ("width", "height", "label_name")),
    ):
        assert list(images[ours]) == list(files[theirs])
    (bad,) = manifest.unreadable
    (row,) = found.images[found.images["reason"] != ""].itertuples()
    assert (row.name, row.reason, row.label) == (bad.path, bad.reason, -1)


def test_a_folder_and_its_shards_have_one_digest(folder, shards):
    one, other = survey(folder, resolution=16), survey(shards(), resolution=16)
    assert len(set(other.images["place"])) > 3
    assert one.digest == other.digest
    columns = ["name", "sha256", "pixels_sha256", "split", "label", "label_name", "reason"]
    assert one.images[columns].equals(other.images[columns])
    assert set(one.images["label"]) == {-1, 0, 1}


def test_a_flat_folder_and_its_shards_have_one_digest(tmp_path, tree, shards):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in tree.rglob("*.png"):
        shutil.copy(path, flat)
    one = survey(FolderSource(str(flat)), resolution=16)
    assert one.digest == survey(shards(root=flat), resolution=16).digest
    assert set(one.images["label_name"]) == {"."}


def test_the_digest_is_of_bytes_names_classes_and_splits(folder, shards, shard, tree):
    members = {"1.png": encoded(1), "1.cls": b"0", "2.png": encoded(2), "2.cls": b"1"}
    variants = [
        members,
        {**members, "2.cls": b"0"},
        {**members, "2.png": encoded(3)},
        {"3" + name[1:] if name[0] == "2" else name: data for name, data in members.items()},
    ]
    digests = [
        survey(ShardSource((str(shard(one, f"{n}.tar")),)), resolution=16).digest
        for n, one in enumerate(variants)
    ]
    both = ShardSource((str(shard(members, "t.tar")),), (str(shard(variants[3], "v.tar")),))
    digests.append(survey(both, resolution=16).digest)
    classes = tree / "names"
    classes.write_text("cat\ndog\n")
    source = ShardSource((str(shard(members)),), classes=str(classes))
    digests.append(survey(source, resolution=16).digest)
    assert len(set(digests)) == len(digests)
    assert survey(folder, resolution=8).digest == survey(folder, resolution=16).digest


def test_each_file_is_read_once_and_remembered(folder, tree, tmp_path, read, monkeypatch):
    monkeypatch.setattr(surveying, "FILES_OF_A_TASK", 5)
    memory, told = tmp_path / "memory", []
    first = survey(
        folder,
        resolution=16,
        memory=memory,
        progress=lambda done, total: told.append((done, total)),
    )
    assert sorted(read) == list_images(tree).paths
    assert told == [(5, 12), (10, 12), (12, 12)]
    assert [path.name for path in memory.iterdir()] == ["facts.parquet"]
    read.clear()
    assert survey(folder, resolution=16, memory=memory).digest == first.digest
    assert read == []
    changed = tree / "val" / "a" / "00.png"
    changed.write_bytes(encoded(77))
    os.utime(changed, ns=(LONG_AGO, LONG_AGO))
    assert survey(folder, resolution=16, memory=memory).digest != first.digest
    assert read == ["val/a/00.png"]


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_what_was_read_before_a_kill_is_not_read_again(
    kind, folder, shards, tmp_path, read, monkeypatch
):
    monkeypatch.setattr(surveying, "FILES_OF_A_TASK", 3)
    source = folder if kind == "folder" else shards()
    whole = survey(source, resolution=16)
    steps, read[:] = len(read), []

    def killed(done, total):
        if done >= 2:
            raise KeyboardInterrupt

    memory = tmp_path / "memory"
    with pytest.raises(KeyboardInterrupt):
        survey(source, resolution=16, memory=memory, progress=killed)
    again = survey(source, resolution=16, memory=memory)
    assert again.digest == whole.digest
    assert len(read) == steps
    torn = memory / "facts.parquet"
    torn.write_bytes(torn.read_bytes()[:-40])
    assert survey(source, resolution=16, memory=memory).digest == whole.digest


def test_what_has_just_changed_is_not_remembered(folder, tree, tmp_path, read):
    for path in tree.rglob("*.png"):
        os.utime(path)
    for _ in range(2):
        survey(folder, resolution=16, memory=tmp_path / "memory")
    assert len(read) == 24


def test_workers_find_the_same(folder, shards, monkeypatch):
    monkeypatch.setattr(surveying, "FILES_OF_A_TASK", 2)
    alone = survey(folder, resolution=16)
    assert survey(folder, resolution=16, workers=2).images.equals(alone.images)


def test_an_error_of_a_worker_is_one_line(shards):
    source = shards()
    place = next(iter(source.shards()))
    with open(place, "r+b") as file:
        file.truncate(1000)
    with pytest.raises(UserError, match=f"shard {place}: truncated"):
        survey(source, resolution=16, workers=2)


def test_a_folder_that_changes_while_it_is_read_is_refused(folder, tree, monkeypatch):
    original = reading._row

    def row(data, place, name, offset, resolution):
        if place == "train/b/07.png":
            (tree / place).write_bytes(encoded(99))
        return original(data, place, name, offset, resolution)

    monkeypatch.setattr(reading, "_row", row)
    with pytest.raises(UserError, match=r"07\.png: has changed while it was read"):
        survey(folder, resolution=16)


def test_keys_classes_and_images_of_all_shards_have_to_fit(shard, tmp_path):
    first = shard({"1.png": encoded(1), "1.cls": b"0"})
    second = shard(
        {"x/1.png": encoded(2), "x/1.cls": b"cat", "1.jpg": encoded(3), "1.cls": b"0"}, "b"
    )
    source = ShardSource((str(first), str(second)))
    with pytest.raises(UserError, match=f"the key '1' is in {first} and in {second}"):
        survey(source, resolution=16)
    split = replace(source, train=(str(first),), validation=(str(second),))
    assert set(survey(split, resolution=16).images["label"]) == {0, 1}
    (tmp_path / "names").write_text("cat\n")
    with pytest.raises(UserError, match=r"class 'cat' is no number below 1"):
        survey(replace(split, classes=str(tmp_path / "names")), resolution=16)
    bare = shard({"3.png": encoded(4)}, "c")
    with pytest.raises(UserError, match=f"shard {bare}: its images have no .cls"):
        survey(replace(source, train=(str(first), str(bare))), resolution=16)
    with pytest.raises(UserError, match=r"has no images"):
        survey(replace(source, train=(str(shard({"1.txt": b""}, "d")),)), resolution=16)


def test_more_workers_than_cpus_are_refused():
    with pytest.raises(UserError, match=r"key: 100000 workers, and this machine has \d+ CPUs"):
        workers.require_cpus(100_000, key="key")
