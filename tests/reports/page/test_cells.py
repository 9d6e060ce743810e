import numpy as np
import pytest

from bench.artifacts.gallery import Gallery, GalleryRow
from bench.store.integrity import DamagedError
from reports.analysis.suites import Part
from reports.page import cells
from reports.page.cells import page_cells


@pytest.fixture
def about(tmp_path):
    """`about(*records)`: what the page knows of them, in order."""

    def about(*records):
        part = Part("made", "made", "Which?", records)
        return list(page_cells([part], tmp_path).values())

    return about


@pytest.fixture
def with_images(tmp_path, vary, complete):
    """`with_images(record)`: the record with a gallery in the store."""

    def with_images(record):
        folder = tmp_path / "evaluation" / record.cell_key.replace(" ", "")
        rows = (GalleryRow(id="a", tokens=(None,), psnr=(None,)),)
        Gallery(np.zeros((1, 1, 4, 4, 3), np.uint8), ("original",), rows).write(folder)
        complete(folder)
        return vary(record, gallery=folder.relative_to(tmp_path).as_posix())

    return with_images


def test_where_a_number_comes_from(about, policy):
    (cell,) = about(policy(seed=3))
    assert cell["record"] == f"records/made/{cell['key']}.json"
    assert dict(cell["seeds"]) == {"data": "0", "training": "0", "policy": "3", "evaluation": "0"}
    assert (cell["commit"], cell["dirty"], cell["protocol"]) == ("c0ffee" * 6, False, "0" * 16)
    assert [stage[0] for stage in cell["stages"]] == ["data", "tokenizer", "tokenizer"]
    assert cell["stages"][1][1:] == ["tokenizer10", "100.0 s, 300 MiB"]
    assert dict(cell["settings"])["policy.weighting"] == "fixed efficiency 0.5"
    assert dict(cell["metrics"])["PSNR"] == "19.5 dB"


def test_a_cell_without_a_result_says_why(about, failed, tokenizer):
    (cell,) = about(failed(tokenizer()))
    assert (cell["status"], cell["stages"], cell["metrics"]) == ("failed", [], [])
    assert "DivergedError" in cell["error"]


def test_images_are_shown_or_it_is_said_why_not(about, tokenizer, vary, with_images):
    (lost,) = about(vary(tokenizer(), gallery="evaluation/gone"))
    assert lost["pictures_note"] == "the images are not in this store: evaluation/gone"
    shown, without = about(with_images(tokenizer()), tokenizer("other"))
    assert len(shown["pictures"]) == 1
    assert shown["pictures_note"] == ""
    assert without["pictures_note"] == "no images are stored with this cell"


def test_images_gone_from_a_store_that_has_others_are_an_error(about, tokenizer, vary, with_images):
    records = with_images(tokenizer()), vary(tokenizer("other"), gallery="evaluation/gone")
    with pytest.raises(DamagedError, match=r"gone/stage\.json is missing"):
        about(*records)


def test_repetitions_are_left_out_first_where_the_page_grows(
    about, tokenizer, with_images, monkeypatch
):
    records = [with_images(tokenizer(arm, seed=s)) for arm in "ab" for s in (0, 1)]
    size = len(about(records[0])[0]["pictures"][0]["uri"])
    monkeypatch.setattr(cells, "MOST_BYTES", 2 * size)
    found = about(*records)
    assert [bool(cell["pictures"]) for cell in found] == [True, False, True, False]
    assert found[1]["pictures_note"].startswith("left out to keep this page small")
