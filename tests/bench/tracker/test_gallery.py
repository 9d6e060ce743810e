import json

import numpy as np

from bench.tracker.gallery import GAP, HEADING, read_gallery, sheet


def test_each_image_has_its_place_enlarged_by_whole_numbers():
    images = np.arange(2 * 3, dtype=np.uint8).reshape(2, 3, 1, 1, 1) * np.ones(
        (32, 32, 3), np.uint8
    )
    page = np.asarray(sheet(images, columns=[]))
    assert page.shape == (HEADING + 2 * (64 + GAP), 3 * (64 + GAP) + GAP, 3)
    for row in range(2):
        for column in range(3):
            top, left = HEADING + row * (64 + GAP), GAP + column * (64 + GAP)
            assert (page[top : top + 64, left : left + 64] == 3 * row + column).all()
    assert (page[:HEADING] == 255).all()


def test_large_images_keep_their_size_and_columns_have_headings():
    images = np.zeros((1, 1, 100, 80, 3), np.uint8)
    page = np.asarray(sheet(images, columns=["original"]))
    assert page.shape == (HEADING + 100 + GAP, 80 + 2 * GAP, 3)
    assert (page[:HEADING] < 255).any()


def test_read_with_the_headings_beside_it(tmp_path):
    path = tmp_path / "gallery.npy"
    assert read_gallery(path) is None
    np.save(path, np.zeros((1, 2, 64, 64, 3), np.uint8))
    plain = np.asarray(read_gallery(path))
    assert (plain[:HEADING] == 255).all()
    (tmp_path / "gallery.json").write_text(json.dumps({"columns": ["original", 4]}))
    headed = np.asarray(read_gallery(tmp_path))
    assert headed.shape == plain.shape
    assert (headed[:HEADING] < 255).any()
