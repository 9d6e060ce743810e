import dataclasses
import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError

from bench.data.datasets import FluentScenes, ImageFolder
from bench.data.image_set import ImageSet, read_image_set, write_about
from bench.data.manifest import UnreadableFile
from bench.errors import UserError

BAD = UnreadableFile(path="train/bad.png", reason="bad")


@pytest.fixture
def image_set(tmp_path):
    """Six images of 16 px in `tmp_path`."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 16, 16), np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    table = pd.DataFrame(
        {
            "id": [f"{index}.png" for index in range(6)],
            "sha256": [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels],
            "label": 0,
            "label_name": ".",
            "complexity": np.nan,
        }
    )
    return write_about(table, (BAD,), tmp_path)


def test_digest_changes_with_a_pixel_and_with_the_order(image_set):
    pixels = np.array(image_set.pixels)
    pixels[3, 0, 0, 0] ^= 1
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels]
    changed = ImageSet(pixels=pixels, table=image_set.table.assign(sha256=hashes))
    assert changed.digest != image_set.digest
    reversed_table = image_set.table.iloc[::-1]
    assert dataclasses.replace(image_set, table=reversed_table).digest != image_set.digest


def test_what_is_written_beside_the_pixels(image_set, tmp_path):
    about = json.loads((tmp_path / "image_set.json").read_text())
    assert (about["count"], about["resolution"]) == (6, 16)
    assert about["unreadable"] == [{"path": "train/bad.png", "reason": "bad"}]
    read = read_image_set(tmp_path)
    pd.testing.assert_frame_equal(read.table, image_set.table)
    assert (read.digest, read.unreadable) == (image_set.digest, (BAD,))


def test_files_that_disagree_are_refused(image_set, tmp_path):
    pixels = np.array(image_set.pixels)

    def refused(match):
        with pytest.raises(UserError, match=match):
            read_image_set(tmp_path)
        np.save(tmp_path / "images.npy", pixels)
        write_about(image_set.table, (), tmp_path)

    (tmp_path / "image_set.json").unlink()
    refused("cannot read")
    np.save(tmp_path / "images.npy", pixels[:-1])
    refused("inconsistent: images.npy")
    np.save(tmp_path / "images.npy", pixels.astype(np.float32))
    refused("inconsistent: images.npy")
    image_set.table.iloc[:-1].to_parquet(tmp_path / "images.parquet")
    refused("inconsistent: images.npy")
    image_set.table.iloc[::-1].to_parquet(tmp_path / "images.parquet")
    refused("digest")
    np.save(tmp_path / "images.npy", np.array([{}], object), allow_pickle=True)
    refused("cannot read")
    assert read_image_set(tmp_path).digest == image_set.digest


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
        ("train_folder", ""),
        ("train_folder", "a/b"),
        ("validation_folder", ".."),
    ],
)
def test_ranges_of_folder(key, value):
    with pytest.raises(ValueError, match=key):
        ImageFolder(**({"path": "x"} | {key: value}))


def test_classes_leave_no_folder_to_validate_on():
    assert ImageFolder(path="x", train_folder=".").folders.train == "."
    with pytest.raises(ValueError, match="validation_folder"):
        ImageFolder(path="x", train_folder=".", validation_folder="val")
    with pytest.raises(ValueError, match="train_folder"):
        ImageFolder(path="x", validation_folder=".")


def test_configs_are_validated_by_pydantic():
    adapter = TypeAdapter(FluentScenes | ImageFolder)
    assert adapter.validate_python({"kind": "image_folder", "path": "x"}) == ImageFolder(path="x")
    with pytest.raises(ValidationError, match="resolutoin"):
        adapter.validate_python({"kind": "fluent_scenes", "resolutoin": 32})
