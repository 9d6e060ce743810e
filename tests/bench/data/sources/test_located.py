import os
import pickle
import shutil

import numpy as np
import pytest

from bench.data.decoding import load_image
from bench.data.sources import located
from bench.data.sources.lazy import LazyPixels
from bench.data.sources.located import LocatedImages, locate
from bench.data.sources.places import FolderSource
from bench.data.sources.survey import survey
from bench.errors import UserError

SIDE = 16


@pytest.fixture
def images(tmp_path):
    """`images(source, rows=None)`: the images of a source, all or those of these rows."""

    def images(source, rows=None):
        found = survey(source, resolution=SIDE)
        locate(found, tmp_path / "sources" / found.digest)
        numbers = np.arange(len(found.readable)) if rows is None else np.array(rows)
        (tmp_path / "rows.bin").write_bytes(numbers.astype("<i8").tobytes())
        place = tmp_path / "sources" / found.digest
        return LocatedImages(place, tmp_path / "rows.bin", resolution=SIDE)

    return images


@pytest.fixture
def expected(tree):
    paths = sorted(
        (path for path in tree.rglob("*.png") if path.name != "04.png"),
        key=lambda path: (path.parts[-3] == "val", path),
    )
    return np.stack([load_image(path, resolution=SIDE) for path in paths])


def test_images_of_a_folder_and_of_shards_are_the_same(images, tree, shards, expected):
    for source in (FolderSource(str(tree)), shards()):
        found = images(source)
        assert np.array_equal([found.read(index) for index in range(len(found))], expected)
    copy = pickle.loads(pickle.dumps(found))
    assert np.array_equal(copy.read(3), expected[3])


def test_images_are_found_where_they_have_moved_to(images, tree, tmp_path, expected):
    found = images(FolderSource(str(tree)))
    shutil.move(tree, tmp_path / "moved")
    with pytest.raises(UserError, match=r"has changed since the images were listed \(No such"):
        found.read(0)
    assert np.array_equal(images(FolderSource(str(tmp_path / "moved"))).read(0), expected[0])


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_an_image_that_is_another_now_is_refused(images, tree, shards, kind):
    found = images(FolderSource(str(tree)) if kind == "folder" else shards(size=10**6))
    for path in [*tree.rglob("*.png"), *tree.parent.rglob("*.tar")]:
        data = path.read_bytes()
        path.write_bytes(data.replace(b"IDAT", b"IDAY"))
    with pytest.raises(UserError, match=r"has changed since .*\(other content\); run again"):
        found.read(0)


def test_files_stay_open_in_bounds(images, shards, expected, monkeypatch):
    monkeypatch.setattr(located, "MOST_OPEN", 3)
    before = len(os.listdir("/proc/self/fd"))
    found = images(shards(size=100))
    for index in range(len(found)):
        assert np.array_equal(found.read(index), expected[index])
        assert len(found._open) <= 3
    del found
    assert len(os.listdir("/proc/self/fd")) <= before


def test_lazy_pixels_have_the_manners_of_an_array(images, tree, expected):
    pixels = LazyPixels(images(FolderSource(str(tree)), rows=[5, 0, 7, 2]))
    array = expected[[5, 0, 7, 2]]
    assert (pixels.shape, pixels.dtype, len(pixels)) == (array.shape, array.dtype, 4)
    assert isinstance(pixels[1:], LazyPixels)
    for key in (0, -1, np.int64(2), np.array([3, 1]), [1], np.array([True, False, True, False])):
        assert np.array_equal(pixels[key], array[key])
    for view in (pixels[1:3], pixels[:0], pixels[1:][1:], pixels):
        assert np.array(view).shape[1:] == array.shape[1:]
    assert np.array_equal(np.array(pixels[1:][1:]), array[2:])
    assert np.array_equal(np.asarray(pixels[:2], dtype=np.float64), array[:2])
    assert all(np.array_equal(*pair) for pair in zip(pixels[2:], array[2:], strict=True))
    with pytest.raises(IndexError):
        pixels[4]


def test_a_source_that_is_not_known_is_one_line(tmp_path):
    (tmp_path / "rows.bin").write_bytes(b"")
    with pytest.raises(UserError, match="where the images are is not known"):
        LocatedImages(tmp_path / "gone", tmp_path / "rows.bin", resolution=SIDE)


def test_locations_that_are_damaged_are_written_anew(images, tree, expected):
    found = images(FolderSource(str(tree)))
    (found.place / "locations.bin").write_bytes(bytes(48 * len(found)))
    with pytest.raises(UserError, match="has changed since"):
        LocatedImages(found.folder, found.rows, resolution=SIDE).read(0)
    assert np.array_equal(images(FolderSource(str(tree))).read(0), expected[0])
