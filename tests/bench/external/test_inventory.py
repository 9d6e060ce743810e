"""Which file is of which image, and how lossless files are told."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.data.decoding import load_image
from bench.external.inventory import Inventory, told
from bench.external.reconstructions import look_through
from bench.external.webp import webp_kind

R = 16
OTHER = [Image.new("RGB", (R, R))]


def inventory_of(root, paths, *, tokens=None):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (R, R)).save(root / path)
    files, _ = look_through(root, resolution=R)
    return Inventory(files, tokens)


@pytest.mark.parametrize("path", ["4/cats/a.png", "4/cats/a.JPG.png"])
def test_a_file_has_the_name_of_its_image_with_or_without_suffix(tmp_path, path):
    inventory = inventory_of(tmp_path, [path])
    assert inventory.problems(["cats/a.JPG"], [4]) == []
    assert [file.path for file in inventory.of(["cats/a.JPG"], 4)] == [path]


def test_what_looks_like_a_suffix_belongs_to_the_name(tmp_path):
    inventory = inventory_of(tmp_path, ["4/v1.png"])
    assert [one.what for one in inventory.problems(["v1.5"], [4])] == ["have no file at budget 4"]


def test_images_that_differ_in_their_suffix_need_it(tmp_path):
    images = ["a.jpg", "a.bmp"]
    (problem,) = inventory_of(tmp_path / "one", ["4/a.png"]).problems(images, [4])
    assert problem.what.startswith("share a file with others, as a.jpg")
    assert problem.images == ("a.bmp",)
    both = inventory_of(tmp_path / "both", ["4/a.jpg.png", "4/a.bmp.png"])
    assert both.problems(images, [4]) == []


def test_a_file_counts_by_its_content_alone(tmp_path):
    inventory = inventory_of(tmp_path, ["4/a.jpg", "4/b.png", "8/a.png", "notes/x.png"])
    assert inventory.used(["a"], [4, 8]) == {"4/a.jpg", "8/a.png"}
    (problem,) = inventory.problems(["a"], [4, 8])
    assert problem.told("1 images") == "1 of the 1 images are JPEG at budget 4 (a)"


def test_ids_are_those_of_the_images(tmp_path):
    tokens = pd.DataFrame({"id": ["b.jpg", "a"], "ids": [[1, 2], [3, 4]]})
    inventory = inventory_of(tmp_path, ["2/a.png", "2/b.png"], tokens=tokens)
    inventory.write(tmp_path)
    inventory = Inventory.read(tmp_path)
    assert inventory.problems(["a.jpg", "b.jpg"], [2]) == []
    np.testing.assert_array_equal(inventory.ids(["a.jpg", "b.jpg"]), [[3, 4], [1, 2]])


def test_a_long_list_of_problems_is_cut():
    assert told(list("abcdef")) == "a; b; c; d; and 2 more"


def noise(mode):
    values = np.random.default_rng(0).integers(0, 256, (R, R, 4), np.uint8)
    return Image.fromarray(values, "RGBA").convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "I;16"])
def test_pixels_of_all_kinds_are_those_of_the_one_decoder(tmp_path, mode):
    image = noise("L").convert("I;16") if mode == "I;16" else noise(mode)
    (tmp_path / "4").mkdir()
    image.save(tmp_path / "4" / "a.png")
    files, _ = look_through(tmp_path, resolution=R)
    assert files["problem"].tolist() == [""]
    assert load_image(tmp_path / "4" / "a.png", resolution=R).shape == (3, R, R)


@pytest.mark.parametrize(
    ("mode", "settings", "expected"),
    [
        ("RGB", {"lossless": True}, "lossless"),
        ("RGBA", {"lossless": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}, "lossless"),
        ("RGB", {"lossless": False}, "lossy"),
        ("RGBA", {"lossless": False}, "lossy"),
        ("RGB", {"lossless": True, "save_all": True, "append_images": OTHER}, "animated"),
    ],
)
def test_lossless_webp_is_told_from_lossy(mode, settings, expected):
    file = io.BytesIO()
    noise(mode).save(file, format="WEBP", **settings)
    assert webp_kind(file) == expected


def test_a_file_without_pixels_is_not_lossless():
    assert webp_kind(io.BytesIO(b"RIFF\0\0\0\0WEBPVP8X")) == "lossy"
