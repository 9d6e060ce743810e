import dataclasses
import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from bench.data.fluent_scenes import render_scene
from bench.data.image_set import (
    COLUMNS,
    FluentScenes,
    ImageFolder,
    build_image_set,
    read_image_set,
    write_image_set,
)
from bench.errors import UserError

SCENES = FluentScenes(resolution=16, train=6, validation=4, calibration=5, seed=3)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    for split, count in (("train", 3), ("val", 2)):
        for index in range(count):
            path = root / split / ("cat" if index else "dog") / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 30), (index, len(split), 7)).save(path)
    (root / "train" / "bad.png").write_text("bad")
    return ImageFolder(path=str(root), resolution=16, max_unreadable=0.2)


@pytest.mark.parametrize(("split", "count"), [("train", 6), ("validation", 4), ("calibration", 5)])
def test_scenes(split, count):
    built = build_image_set(SCENES, split)
    assert built.pixels.shape == (count, 3, 16, 16)
    assert tuple(built.table.columns) == COLUMNS
    scene = render_scene(2, split=split, seed=3, resolution=16)
    np.testing.assert_array_equal(built.pixels[2], scene.pixels)
    row = built.table.loc[2]
    assert row["id"] == f"{split}/000002"
    assert row["sha256"] == hashlib.sha256(scene.pixels.tobytes()).hexdigest()
    assert (row["label"], row["complexity"]) == (scene.label, scene.objects)
    assert row["label_name"] == ("flat", "gradient", "textured")[scene.label]


def test_seed_and_resolution_reach_the_scenes():
    first = build_image_set(SCENES, "train")
    assert build_image_set(SCENES, "train").digest == first.digest
    assert build_image_set(dataclasses.replace(SCENES, seed=4), "train").digest != first.digest
    larger = build_image_set(dataclasses.replace(SCENES, resolution=24), "train")
    assert larger.pixels.shape == (6, 3, 24, 24)


def test_digest_changes_with_a_pixel_and_with_the_order():
    built = build_image_set(SCENES, "train")
    pixels = built.pixels.copy()
    pixels[3, 0, 0, 0] ^= 1
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels]
    changed = dataclasses.replace(built, pixels=pixels, table=built.table.assign(sha256=hashes))
    assert changed.digest != built.digest
    reversed_table = built.table.iloc[::-1]
    assert dataclasses.replace(built, table=reversed_table).digest != built.digest


def test_folder(folder):
    train, validation = (build_image_set(folder, split) for split in ("train", "validation"))
    assert list(train.table["id"]) == ["train/cat/1.png", "train/cat/2.png", "train/dog/0.png"]
    assert list(train.table["label"]) == [0, 0, 1]
    assert list(train.table["label_name"]) == ["cat", "cat", "dog"]
    assert list(validation.table["label"]) == [0, 1]
    assert train.table["complexity"].isna().all()
    assert list(train.table["width"]) == [20, 20, 20]
    np.testing.assert_array_equal(train.pixels[1, :, 0, 0], [2, 5, 7])
    assert [file.path for file in train.unreadable] == ["train/bad.png"]


def test_options_reach_the_folder(folder):
    with pytest.raises(UserError, match="1 of 6"):
        build_image_set(dataclasses.replace(folder, max_unreadable=0.1), "train")
    flat = ImageFolder(path=folder.path + "/train/cat", resolution=16, validation_fraction=0.99)
    with pytest.raises(UserError, match="train split has no images"):
        build_image_set(flat, "train")
    most = dataclasses.replace(flat, calibration_fraction=0.999)
    assert len(build_image_set(most, "calibration").pixels) == 2


def test_progress_counts_every_image(folder):
    for config, total in ((SCENES, 6), (folder, 3)):
        seen = []
        build_image_set(
            config, "train", progress=lambda done, of, seen=seen: seen.append((done, of))
        )
        assert seen == [(done, total) for done in range(1, total + 1)]


def test_unknown_split():
    with pytest.raises(ValueError, match="test"):
        build_image_set(SCENES, "test")


def test_written_set_reads_back(folder, tmp_path):
    for name, config in (("scenes", SCENES), ("folder", folder)):
        built = build_image_set(config, "train")
        write_image_set(built, tmp_path / name)
        read = read_image_set(tmp_path / name)
        assert isinstance(read.pixels, np.memmap)
        np.testing.assert_array_equal(read.pixels, built.pixels)
        pd.testing.assert_frame_equal(read.table, built.table)
        assert (read.digest, read.unreadable) == (built.digest, built.unreadable)
    about = json.loads((tmp_path / "folder" / "image_set.json").read_text())
    assert (about["count"], about["resolution"]) == (3, 16)
    assert about["unreadable"][0]["path"] == "train/bad.png"


def test_files_that_disagree_are_refused(tmp_path):
    built = build_image_set(SCENES, "train")

    def refused(match):
        with pytest.raises(UserError, match=match):
            read_image_set(tmp_path)
        write_image_set(built, tmp_path)

    refused("cannot read")
    np.save(tmp_path / "images.npy", built.pixels[:-1])
    refused("inconsistent: images.npy")
    np.save(tmp_path / "images.npy", built.pixels.astype(np.float32))
    refused("inconsistent: images.npy")
    built.table.iloc[:-1].to_parquet(tmp_path / "images.parquet")
    refused("inconsistent: images.npy")
    built.table.iloc[::-1].to_parquet(tmp_path / "images.parquet")
    refused("digest")
    np.save(tmp_path / "images.npy", np.array([{}], object), allow_pickle=True)
    refused("cannot read")
    assert read_image_set(tmp_path).digest == built.digest


@pytest.mark.parametrize(
    ("key", "value"),
    [("resolution", 15), ("train", 0), ("validation", 0), ("calibration", -1), ("seed", -1)],
)
def test_ranges_of_scenes(key, value):
    with pytest.raises(ValueError, match=key):
        FluentScenes(**{key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("path", ""),
        ("resolution", 0),
        ("validation_fraction", 1.0),
        ("calibration_fraction", 1.0),
        ("calibration_fraction", -0.1),
        ("max_unreadable", 1.1),
    ],
)
def test_ranges_of_folder(key, value):
    with pytest.raises(ValueError, match=key):
        ImageFolder(**({"path": "x"} | {key: value}))


def test_configs_are_validated_by_pydantic():
    adapter = TypeAdapter(FluentScenes | ImageFolder)
    assert adapter.validate_python({"kind": "image_folder", "path": "x"}) == ImageFolder(path="x")
    with pytest.raises(ValidationError, match="resolutoin"):
        adapter.validate_python({"kind": "fluent_scenes", "resolutoin": 32})
