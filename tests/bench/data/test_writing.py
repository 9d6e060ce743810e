import dataclasses
import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.data.datasets import FluentScenes, ImageFolder
from bench.data.fluent_scenes import render_scene
from bench.data.image_set import COLUMNS, read_image_set
from bench.data.manifest import build_manifest
from bench.data.writing import write_folder, write_scenes
from bench.errors import UserError

SCENES = FluentScenes(resolution=16, train=6, validation=4, calibration=5, seed=3)


@pytest.fixture
def own_splits(tmp_path):
    root = tmp_path / "images"
    for split, count in (("train", 3), ("val", 2)):
        for index in range(count):
            path = root / split / ("cat" if index else "dog") / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 30), (index, len(split), 7)).save(path)
    (root / "train" / "bad.png").write_text("bad")
    return ImageFolder(path=str(root), resolution=16, max_unreadable=0.2)


@pytest.fixture
def write(tmp_path):
    """`write(config, split)`: the image set, written anew."""

    def write(config, split, **options):
        folder = tmp_path / "written"
        if isinstance(config, FluentScenes):
            return write_scenes(config, split, folder, **options)
        manifest = build_manifest(Path(config.path))
        return write_folder(config, split, folder, manifest=manifest, **options)

    return write


@pytest.mark.parametrize(("split", "count"), [("train", 6), ("validation", 4), ("calibration", 5)])
def test_scenes(write, split, count):
    built = write(SCENES, split)
    assert built.pixels.shape == (count, 3, 16, 16)
    assert tuple(built.table.columns) == COLUMNS
    scene = render_scene(2, split=split, seed=3, resolution=16)
    np.testing.assert_array_equal(built.pixels[2], scene.pixels)
    row = built.table.loc[2]
    assert row["id"] == f"{split}/000002"
    assert row["sha256"] == hashlib.sha256(scene.pixels.tobytes()).hexdigest()
    assert (row["label"], row["complexity"]) == (scene.label, scene.objects)
    assert row["label_name"] == ("flat", "gradient", "textured")[scene.label]


def test_seed_and_resolution_reach_the_scenes(write):
    first = write(SCENES, "train")
    assert write(SCENES, "train").digest == first.digest
    assert write(dataclasses.replace(SCENES, seed=4), "train").digest != first.digest
    larger = write(dataclasses.replace(SCENES, resolution=24), "train")
    assert larger.pixels.shape == (6, 3, 24, 24)


def test_folder(write, own_splits):
    train, validation = (write(own_splits, split) for split in ("train", "validation"))
    assert list(train.table["id"]) == ["train/cat/1.png", "train/cat/2.png", "train/dog/0.png"]
    assert list(train.table["label"]) == [0, 0, 1]
    assert list(train.table["label_name"]) == ["cat", "cat", "dog"]
    assert list(validation.table["label"]) == [0, 1]
    assert train.table["complexity"].isna().all()
    assert list(train.table["width"]) == [20, 20, 20]
    for built in (train, validation):
        assert [file.path for file in built.unreadable] == ["train/bad.png"]


def test_pixels_are_those_of_the_files_in_the_order_of_the_table(write, own_splits):
    train = write(own_splits, "train")
    np.testing.assert_array_equal(train.pixels[:, :, 0, 0], [[1, 5, 7], [2, 5, 7], [0, 5, 7]])
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in train.pixels]
    assert list(train.table["sha256"]) == hashes


def test_options_reach_the_folder(write, own_splits):
    with pytest.raises(UserError, match="1 of 6"):
        write(dataclasses.replace(own_splits, max_unreadable=0.1), "train")
    flat = ImageFolder(path=own_splits.path + "/train/cat", resolution=16, validation_fraction=0.99)
    with pytest.raises(UserError, match="train split has 0 of the 2 images"):
        write(flat, "train")
    most = dataclasses.replace(own_splits, calibration_fraction=0.999)
    with pytest.raises(UserError, match="validation split has 0 of the 5"):
        write(most, "train")
    assert write(dataclasses.replace(own_splits, resolution=8), "train").pixels.shape[-1] == 8


def test_progress_counts_every_image(write, own_splits):
    for config, total in ((SCENES, 6), (own_splits, 3)):
        seen = []
        write(config, "train", progress=lambda done, of, seen=seen: seen.append((done, of)))
        assert seen == [(done, total) for done in range(1, total + 1)]


def test_unknown_split(write, own_splits):
    for config in (SCENES, own_splits):
        with pytest.raises(ValueError, match="test"):
            write(config, "test")


def test_a_written_set_reads_back(write, own_splits, tmp_path):
    for config in (SCENES, own_splits):
        built = write(config, "train")
        read = read_image_set(tmp_path / "written")
        assert isinstance(read.pixels, np.memmap)
        np.testing.assert_array_equal(read.pixels, built.pixels)
        pd.testing.assert_frame_equal(read.table, built.table)
        assert (read.digest, read.unreadable) == (built.digest, built.unreadable)


def test_what_an_interrupted_writing_left_is_written_over(write, own_splits, tmp_path):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(own_splits, "train", progress=interrupt)
    with pytest.raises(UserError, match="cannot read"):
        read_image_set(tmp_path / "written")
    digest = write(own_splits, "train").digest
    assert read_image_set(tmp_path / "written").digest == digest


def replace_content(path):
    Image.new("RGB", (20, 30), "red").save(path)


def damage(path):
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (Path.unlink, "No such file"),
        (replace_content, "other content"),
        (damage, "other content"),
    ],
)
def test_a_file_that_changes_after_the_listing_is_named(own_splits, tmp_path, change, how):
    root = Path(own_splits.path)
    write = partial(write_folder, own_splits, folder=tmp_path / "a", manifest=build_manifest(root))
    change(root / "train" / "cat" / "2.png")
    write("validation")
    with pytest.raises(UserError, match=rf"train/cat/2\.png .*{how}.*run again") as error:
        write("train")
    assert str(root) in str(error.value)
    assert "\n" not in str(error.value)
