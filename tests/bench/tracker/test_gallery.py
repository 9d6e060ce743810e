import json

import numpy as np
import pytest

from bench.tracker.gallery import GAP, TEXT, read_gallery, sheet

NOTHING = [["", "", ""], ["", "", ""]]


def test_each_image_has_its_place_enlarged_by_whole_numbers():
    values = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1)
    images = np.broadcast_to(values, (2, 3, 32, 32, 3))
    page = np.asarray(sheet(images, columns=["", "", ""], captions=NOTHING))
    assert page.shape == (TEXT + 2 * (64 + TEXT), 3 * (64 + GAP) + GAP, 3)
    for row in range(2):
        for column in range(3):
            top, left = TEXT + row * (64 + TEXT), GAP + column * (64 + GAP)
            assert (page[top : top + 64, left : left + 64] == 3 * row + column).all()
    assert (page[:TEXT] == 255).all()


def test_large_images_keep_their_size():
    images = np.zeros((1, 1, 100, 80, 3), np.uint8)
    page = np.asarray(sheet(images, columns=["original"], captions=[[""]]))
    assert page.shape == (TEXT + 100 + TEXT, 80 + 2 * GAP, 3)
    assert (page[:TEXT] < 255).any()
    assert (page[TEXT + 100 :] == 255).all()


@pytest.mark.parametrize(
    ("columns", "captions"),
    [(["a"], NOTHING), (["", "", ""], NOTHING[:1]), (["", "", ""], [[""], ["", "", ""]])],
)
def test_headings_and_captions_for_every_picture(columns, captions):
    with pytest.raises(ValueError, match="2 x 3 pictures"):
        sheet(np.zeros((2, 3, 8, 8, 3), np.uint8), columns=columns, captions=captions)


def test_read_with_headings_and_tokens(tmp_path):
    assert read_gallery(tmp_path) is None
    np.save(tmp_path / "gallery.npy", np.zeros((1, 2, 64, 64, 3), np.uint8))
    assert read_gallery(tmp_path) is None
    about = {"columns": ["", "4"], "rows": [{"tokens": [None, 4]}]}
    (tmp_path / "gallery.json").write_text(json.dumps(about))
    page = np.asarray(read_gallery(tmp_path))
    half = 64 + 2 * GAP
    for text in (page[:TEXT], page[-TEXT:]):
        assert (text[:, :half] == 255).all()
        assert (text[:, half:] < 255).any()
    (tmp_path / "gallery.json").write_text(json.dumps({**about, "rows": []}))
    assert read_gallery(tmp_path) is None
