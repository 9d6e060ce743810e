"""Stages on images that stay in their files: however these are read, the results are the same."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.data.image_folder import list_images
from bench.data.image_set import read_image_set
from bench.data.sources import workers
from bench.data.sources.shard_writing import write_shards
from bench.errors import UserError
from bench.graph.nodes import upstream
from bench.graph.source_naming import sources_by_content
from bench.graph.suite_graph import build_graph
from bench.stages import STAGES, tokenizer
from bench.store.stage import StageContext, compute
from bench.store.store import Store

TRAINING = {"steps": 8, "batch": 16, "warmup_steps": 1, "log_every": 2, "checkpoint_every": 3}
AUGMENT = {"crop": "resized", "scale": [0.5, 1.0], "flip": True}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """40 pictures in two classes, larger than they are trained on."""
    root = tmp_path_factory.mktemp("photos")
    for index in range(40):
        pixels = np.random.default_rng(index).integers(0, 256, (5, 7, 3), np.uint8)
        path = root / "ab"[index % 2] / f"{index:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).resize((52, 40), Image.Resampling.BICUBIC).save(path)
        os.utime(path, ns=(10**18, 10**18))
    return root


@pytest.fixture
def folder(photos):
    return {"kind": "image_folder", "path": str(photos), "resolution": 32}


@pytest.fixture
def shards(photos, tmp_path):
    written = write_shards(
        list_images(photos), tmp_path / "shards", size=30_000, progress=lambda count: None
    )
    assert written.shards > 3
    return {
        "kind": "webdataset",
        "train": written.patterns[""],
        "classes": str(written.classes),
        "resolution": 32,
    }


@pytest.fixture
def trained(load, small, tmp_path):
    """`trained(data, store, **suite)`: the training of a tokenizer on these data."""

    def trained(data, store="store", **suite):
        small["base"] |= {"data": data, "training": TRAINING}
        small["base"]["bank"]["policy_images"] = None
        content = {**small, "arms": [{"name": "elastic"}], "resources": {"tokenizer": {"cpus": 2}}}
        where = Store.open(tmp_path / store)
        graph = build_graph(
            load({**content, **suite}),
            name_source=sources_by_content(where, remember=True, say=lambda line: None),
        )
        node = graph.evaluations[0].inputs["bank"].inputs["tokenizer"]
        for one in [*upstream(node), *upstream(graph.evaluations[0].inputs["images"])]:
            outcome = done(where, one.spec(where))
            assert outcome.status != "failed", outcome.error
        return where, node.spec(where)

    return trained


def done(store, spec):
    return compute(store, spec, STAGES[spec.stage].compute)


def weights(store, spec):
    return (store.artifact(spec.stage, spec.key) / "tokenizer.safetensors").read_bytes()


def tables(store):
    """Digest and table of both splits."""
    sets = map(read_image_set, (store.root / "data").glob("*"))
    return {one.digest: one.table for one in sets}


def test_folder_and_shards_stored_or_not_train_the_same(trained, folder, shards):
    pixels, spec = trained(folder, "pixels")
    expected, images = weights(pixels, spec), tables(pixels)
    keys = set()
    for name, data in {
        "files": {**folder, "store": "files"},
        "shards": shards,
        "shards as pixels": {**shards, "store": "pixels"},
    }.items():
        store, spec = trained(data, name)
        keys.add(spec.key)
        assert weights(store, spec) == expected
        found = tables(store)
        assert found.keys() == images.keys()
        for digest, table in images.items():
            pd.testing.assert_frame_equal(found[digest], table)
    assert len(keys) == 2  # Files and shards are one source.
    sizes = [path.stat().st_size for path in (store.root / "sources").rglob("*.bin")]
    assert max(sizes) == 40 * 48


def test_augmented_trainings_do_not_depend_on_workers_and_resume(
    trained, folder, tmp_path, monkeypatch
):
    data = {**folder, "store": "files", "augment": AUGMENT}
    store, spec = trained(data)
    again, same = trained(data, "again", loader={"workers": 2, "prefetch": 1, "cache_mb": 1})
    assert same.key == spec.key
    assert same.runtime["loader"]["workers"] == 2
    whole = weights(store, spec)
    assert weights(again, same) == whole
    _, plain = trained({**folder, "store": "files"})
    assert weights(store, plain) != whole

    inputs = {name: store.artifact(*of) for name, of in spec.inputs.items()}
    context = StageContext(spec, inputs, store.work("tokenizer", "resumed"))
    context.work.mkdir(parents=True)

    def stop(self, done, total, note=""):
        if done == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(StageContext, "progress", stop)
        with pytest.raises(KeyboardInterrupt):
            tokenizer.run(context)
    assert (context.work / "checkpoint.safetensors").exists()
    tokenizer.run(context)
    assert (context.work / "tokenizer.safetensors").read_bytes() == whole


def test_all_stages_before_a_training_read_each_file_once(trained, folder, photos, monkeypatch):
    read = []
    original = workers.read_places

    def counted(task):
        read.extend(place for place, _ in task["places"])
        return original(task)

    monkeypatch.setattr(workers, "read_places", counted)
    trained({**folder, "store": "files"})
    assert sorted(read) == list_images(photos).paths


def test_images_may_move_between_stages(trained, folder, tmp_path):
    data = {**folder, "store": "files"}
    moved = shutil.copytree(folder["path"], tmp_path / "moved")
    store, spec = trained({**data, "path": str(moved)})
    shutil.rmtree(moved)
    (images,) = (path for path in (store.root / "data").glob("*") if len(read(path)) > 20)
    with pytest.raises(UserError, match="has changed since the images were listed"):
        read(images)[0]
    assert trained(data)[1].key == spec.key
    assert read(images)[0].shape == (3, 32, 32)


def read(folder):
    return read_image_set(folder).pixels


def test_an_image_that_changed_ends_the_training_in_one_line(trained, folder, tmp_path):
    moved = shutil.copytree(folder["path"], tmp_path / "moved")
    store, spec = trained({**folder, "store": "files", "path": str(moved)})
    for path in moved.rglob("*.png"):
        path.write_bytes(b"other")
    settings = {**spec.config, "training": {**TRAINING, "seed": 1}}
    outcome = done(store, replace(spec, config=settings))
    assert outcome.fatal
    assert "has changed since the images were listed (other content)" in outcome.error


def test_more_workers_than_cpus_end_the_training_in_one_line(trained, folder):
    store, spec = trained({**folder, "store": "files"})
    settings = {**spec.config, "training": {**TRAINING, "seed": 1}}
    runtime = {"loader": {"workers": 100_000}}
    outcome = done(store, replace(spec, config=settings, runtime=runtime))
    assert outcome.fatal
    assert outcome.error.startswith("loader.workers: 100000 workers, and this machine has")
