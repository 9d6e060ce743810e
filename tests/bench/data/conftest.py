import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def picture():
    """`picture(seed, size=(w, h))`: noise."""

    def picture(seed, size=(20, 30)):
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        return Image.fromarray(pixels)

    return picture


@pytest.fixture
def save():
    """`save(image, path, **options)`: the path, in folders that are made."""

    def save(image, path, **options):
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, **options)
        return path

    return save


@pytest.fixture
def folder(tmp_path, picture, save):
    """20 pictures in two classes."""
    root = tmp_path / "images"
    for index in range(20):
        save(picture(index), root / ("cat" if index % 2 else "dog") / f"{index:02d}.png")
    return root
