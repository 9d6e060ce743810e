import json
import shutil

import numpy as np
import pytest

from bench.artifacts.gallery import Gallery, GalleryRow, extremes, gallery_of, spread_out
from bench.errors import UserError
from bench.records.record import Record
from bench.store.integrity import DamagedError, describe


@pytest.fixture
def gallery():
    pixels = np.arange(2 * 2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 2, 4, 4, 3)
    rows = (
        GalleryRow(id="b", tokens=(None, 2), psnr=(None, 20.5), complexity=3.0, png_bytes=90),
        GalleryRow(id="a", group="most tokens", tokens=(None, 4), psnr=(None, None)),
    )
    return Gallery(pixels, ("original", "chosen budget"), rows)


def test_what_is_written_reads_back(gallery, tmp_path):
    gallery.write(tmp_path / "evaluation" / "key")
    folder = tmp_path / "evaluation" / "key"
    assert sorted(path.name for path in folder.iterdir()) == ["gallery.json", "gallery.npy"]
    describe(folder, {"stage": "evaluation", "key": "key"})
    record = Record.model_construct(gallery="evaluation/key", suite="small")
    read = gallery_of(record, tmp_path)
    assert (read.columns, read.rows) == (gallery.columns, gallery.rows)
    np.testing.assert_array_equal(read.pixels, gallery.pixels)


def test_a_gallery_that_is_gone_or_damaged_is_refused_with_the_run_that_mends_it(gallery, tmp_path):
    record = Record.model_construct(gallery="evaluation/key", suite="small")
    folder = tmp_path / "evaluation" / "key"
    gallery.write(folder)
    describe(folder, {"stage": "evaluation", "key": "key"})
    remedy = r"mend it with: adatok-bench run SUITE \(the file of suite 'small'\)$"
    flipped = bytearray((folder / "gallery.npy").read_bytes())
    flipped[-1] ^= 1
    (folder / "gallery.npy").write_bytes(flipped)
    with pytest.raises(DamagedError, match=f"gallery.npy is damaged .*{remedy}"):
        gallery_of(record, tmp_path)
    (folder / "gallery.npy").unlink()
    with pytest.raises(DamagedError, match=f"gallery.npy is missing; {remedy}"):
        gallery_of(record, tmp_path)
    shutil.rmtree(folder)
    with pytest.raises(DamagedError, match=f"stage.json is missing; {remedy}"):
        gallery_of(record, tmp_path)


def test_a_record_may_have_none(tmp_path):
    assert gallery_of(Record.model_construct(), tmp_path) is None


def test_pictures_that_do_not_fit_the_rows_are_refused(gallery, tmp_path):
    with pytest.raises(ValueError, match="1 rows and 2 columns"):
        Gallery(gallery.pixels, gallery.columns, gallery.rows[:1]).write(tmp_path)
    with pytest.raises(ValueError, match="float64"):
        Gallery(gallery.pixels.astype(float), gallery.columns, gallery.rows).write(tmp_path)
    short = (gallery.rows[0], GalleryRow(id="a", tokens=(None,), psnr=(None, 1.0)))
    with pytest.raises(ValueError, match="2 tokens and PSNRs"):
        Gallery(gallery.pixels, gallery.columns, short).write(tmp_path)


def test_a_damaged_gallery_is_one_line_that_names_it(gallery, tmp_path):
    gallery.write(tmp_path)
    about = json.loads((tmp_path / "gallery.json").read_text())
    for damaged, words in (
        ({**about, "rows": about["rows"][:1]}, "inconsistent"),
        ({"columns": []}, "cannot read"),
        ({**about, "rows": [{"name": "x"}]}, "cannot read"),
    ):
        (tmp_path / "gallery.json").write_text(json.dumps(damaged))
        with pytest.raises(UserError, match=words) as error:
            Gallery.read(tmp_path)
        assert str(tmp_path) in str(error.value)
        assert "\n" not in str(error.value)
    (tmp_path / "gallery.npy").unlink()
    with pytest.raises(UserError, match="run its suite again"):
        Gallery.read(tmp_path)


def test_images_are_spread_over_the_ranks_of_a_score():
    scores, ids = [5, 1, 4, 2, 3, 0], list("abcdef")
    assert spread_out(scores, ids, count=3).tolist() == [5, 3, 0]
    assert spread_out(scores, ids).tolist() == [5, 1, 3, 4, 2, 0]
    assert spread_out([1, 1, 1], ["c", "a", "b"], count=2).tolist() == [1, 0]


def test_the_fewest_and_the_most_tokens_with_ties_by_id():
    tokens, ids = [4, 1, 2, 4, 1, 2], ["f", "e", "d", "c", "b", "a"]
    fewest, most = extremes(tokens, ids, count=2)
    assert (fewest.tolist(), most.tolist()) == ([4, 1], [3, 0])


def test_no_image_is_among_the_fewest_and_the_most():
    fewest, most = extremes([2, 2, 2], ["a", "b", "c"], count=8)
    assert (fewest.tolist(), most.tolist()) == ([0, 1], [2])
    fewest, most = extremes([7], ["a"], count=8)
    assert (fewest.tolist(), most.tolist()) == ([0], [])
