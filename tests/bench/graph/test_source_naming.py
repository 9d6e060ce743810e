import os

import numpy as np
import pytest
from PIL import Image

from bench.data.image_folder import list_images
from bench.data.sources import survey as surveying
from bench.data.sources.places import FolderSource, ShardSource
from bench.data.sources.shard_writing import write_shards
from bench.errors import UserError
from bench.graph import source_naming
from bench.graph.suite_graph import build_graph
from bench.store.store import Store

LONG_AGO = 10**18


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for index in range(12):
        path = root / f"{index}.png"
        Image.fromarray(np.full((8, 8), index, np.uint8)).save(path)
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return root


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def specs(load, small, folder, store):
    """`specs(stage, **data)`: what a stage is asked for, by split where there are several."""

    def specs(stage, *, loader=None, **data):
        given = {"kind": "image_folder", "path": str(folder), "resolution": 32} | data
        given = {name: value for name, value in given.items() if value is not None}
        small["base"]["data"], small["base"]["bank"]["policy_images"] = given, None
        content = {**small, "arms": [{"name": "a"}], "resources": {"tokenizer": {"cpus": 4}}}
        suite = load({**content, **({"loader": loader} if loader else {})})
        nodes = build_graph(suite).order()
        found = [node.spec(store) for node in nodes if node.stage == stage]
        return found if stage == "data" else found[0]

    return specs


def test_augmentation_is_the_trainings_alone(specs):
    flips = {"crop": "centre", "flip": True}
    assert specs("data", augment=flips) == specs("data")
    assert specs("tokenizer", augment=flips).key != specs("tokenizer").key
    assert specs("tokenizer", augment=flips).config["augment"] == {**flips, "scale": None}
    assert "augment" not in specs("tokenizer").config
    scenes = {"kind": "fluent_scenes", "path": None, "train": 48, "validation": 24}
    assert specs("tokenizer", augment=flips, **scenes).key != specs("tokenizer", **scenes).key
    assert specs("data", augment=flips, **scenes) == specs("data", **scenes)


def test_where_images_are_stored_is_the_datas_and_the_loader_nobodys(specs):
    pixels, files = specs("tokenizer"), specs("tokenizer", store="files")
    assert specs("tokenizer", store="pixels") == pixels
    assert pixels.config == files.config
    assert pixels.runtime == {}
    loaded = specs("tokenizer", store="files", loader={"workers": 3, "cache_mb": 7})
    assert loaded.key == files.key != pixels.key
    assert loaded.runtime == {"loader": {"workers": 3, "prefetch": 2, "cache_mb": 7}}
    assert all("store" not in one.config for one in specs("data", store="files"))


def test_shards_of_a_folder_are_the_same_source(specs, folder, tmp_path):
    written = write_shards(
        list_images(folder), tmp_path / "shards", size=4000, progress=lambda count: None
    )
    shards = {"kind": "webdataset", "path": None, "train": written.patterns[""]}
    files, same = specs("data", store="files"), specs("data", **shards)
    assert [one.key for one in same] == [one.key for one in files]
    assert specs("manifest", **shards).runtime == {"train": [written.patterns[""]]}
    assert specs("manifest", store="files").runtime == {"path": str(folder)}
    pixels = specs("data", **shards, store="pixels")
    assert not {one.key for one in pixels} & {one.key for one in files}
    assert specs("manifest", store="files", resolution=16).key != same[0].inputs["manifest"][1]


def test_a_store_remembers_what_was_read_and_where_it_is(folder, store, monkeypatch):
    monkeypatch.setattr(source_naming, "SAY_SECONDS", 0)
    source, said = FolderSource(str(folder)), []
    for remember, lines in ((False, 1), (True, 1), (True, 0)):
        said.clear()
        name = source_naming.sources_by_content(store, remember=remember, say=said.append)
        digest = name(source, 16, 1)
        assert digest == source_naming.digest_of(source, 16, 1)
        assert said == [f"reading image folder {folder}: 12 of 12 files"] * lines
        assert store.survey(source.name, 16).exists() == remember
        assert store.source(digest).exists() == remember


def test_what_is_as_it_was_is_named_without_a_survey(folder, store, tmp_path, monkeypatch):
    surveyed = []
    original = surveying.survey

    def survey(*source, **how):
        surveyed.append(source)
        return original(*source, **how)

    monkeypatch.setattr(surveying, "survey", survey)
    written = write_shards(list_images(folder), tmp_path / "s", size=4000, progress=abs)
    for path in (tmp_path / "s").iterdir():
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    sources = FolderSource(str(folder)), ShardSource((written.patterns[""],))
    name = source_naming.sources_by_content(store, remember=True, say=print)
    first = name(sources[0], 16, 1)
    place = store.source(first) / "here.json"
    there = place.read_text()
    assert name(sources[1], 16, 1) == first
    assert place.read_text() != there
    assert len(surveyed) == 2
    assert name(sources[0], 16, 1) == first
    assert place.read_text() == there
    assert len(surveyed) == 2
    for locations in store.source(first).rglob("locations.bin"):
        locations.write_bytes(b"damaged")
    assert name(sources[0], 16, 1) == first
    assert len(surveyed) == 3
    os.utime(folder / "3.png", ns=(LONG_AGO, LONG_AGO + 1))
    assert name(sources[0], 16, 1) == first
    (folder / "new.png").write_bytes((folder / "3.png").read_bytes())
    assert name(sources[0], 16, 1) != first
    assert name(sources[0], 16, 1) != first  # It has just changed, and is looked at again.
    assert len(surveyed) == 6


def test_a_store_that_cannot_be_written_is_named(folder, tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "store")
    name = source_naming.sources_by_content(store, remember=True, say=print)
    with pytest.raises(UserError, match=r"cannot write to the store .*--store"):
        name(FolderSource(str(folder)), 16, 1)


def test_no_image_is_read_where_no_key_is_needed(folder, tmp_path):
    said = []
    name = source_naming.sources_without_reading(said.append)
    name(FolderSource(str(folder)), 16, 1)
    (tmp_path / "a.tar").write_text("no tar")
    name(ShardSource((f"{tmp_path}/*.tar",)), 16, 1)
    assert said == [
        f"image folder {folder}: 12 images, divided by content; 1 class",
        f"webdataset {tmp_path}/*.tar: shards 1 divided by content",
    ]
    with pytest.raises(UserError, match=r"data.train: .*gone\.tar: no such file"):
        name(ShardSource((f"{tmp_path}/gone.tar",)), 16, 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loader": {"workers": 1}}, "loader: no cell's images stay in their files"),
        (
            {"store": "files", "loader": {"workers": 5}},
            "loader.workers: 5 are more than resources.tokenizer.cpus, 4",
        ),
        ({"store": "files", "loader": {"workers": -1}}, "loader: workers: must not be negative"),
        ({"augment": {"crop": "random"}}, "augment.crop must be centre, as pixels are kept"),
        ({"store": "disk"}, "data.store: "),
        ({"kind": "webdataset", "path": None, "train": []}, "train must be patterns of paths"),
        ({"kind": "webdataset", "path": None}, "data.train: missing"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(specs, changes, words):
    with pytest.raises(UserError, match=words):
        specs("data", **changes)
