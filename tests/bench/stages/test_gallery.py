"""Galleries and PNG sizes of evaluations, from finished runs."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.artifacts.gallery import FEWEST, MOST, gallery_of
from bench.data.image_set import ImageSet, read_image_set
from bench.stages import png_sizes
from bench.stages.gallery import own_gallery


def psnr(a, b):
    return 10 * np.log10(1 / np.mean((a / 255.0 - b / 255.0) ** 2))


@pytest.fixture
def opened(small_run):
    """`opened(label)`: gallery, table and images of a cell."""

    def opened(label, run=small_run):
        gallery = gallery_of(run.record(label), run.store.root)
        table = pd.read_parquet(run.artifact(label) / "images.parquet")
        images = read_image_set(run.artifact(label, "images"))
        return gallery, table, images

    return opened


def test_a_curve_shows_images_from_simple_to_complex_at_every_budget(opened):
    gallery, table, images = opened("elastic")
    assert gallery.columns == ("original", "1", "2", "4")
    assert gallery.pixels.shape == (8, 4, 32, 32, 3)
    known = [row.complexity for row in gallery.rows]
    assert known == sorted(known)
    assert (known[0], known[-1]) == (table["complexity"].min(), table["complexity"].max())
    assert {row.group for row in gallery.rows} == {""}
    place = {name: index for index, name in enumerate(images.table["id"])}
    for row, pictures in zip(gallery.rows, gallery.pixels, strict=True):
        original = images.pixels[place[row.id]].transpose(1, 2, 0)
        np.testing.assert_array_equal(pictures[0], original)
        assert row.tokens == (None, 1, 2, 4)
        here = table[table["id"] == row.id]
        assert row.psnr[1:] == pytest.approx(here["psnr"].tolist())
        for picture, stored in zip(pictures[1:], here["psnr"], strict=True):
            assert psnr(picture, original) == pytest.approx(stored, rel=1e-5)


def test_an_allocation_shows_its_extremes_at_the_budgets_chosen(opened):
    gallery, table, _ = opened("policy: seed 0")
    assert gallery.columns == ("original", "chosen budget")
    by_id = table.set_index("id")
    tokens = {FEWEST: [], MOST: []}
    for row, pictures in zip(gallery.rows, gallery.pixels, strict=True):
        tokens[row.group].append(row.tokens[1])
        assert row.tokens == (None, by_id.loc[row.id, "budget"])
        assert row.psnr[1] == pytest.approx(by_id.loc[row.id, "psnr"])
        assert row.complexity == by_id.loc[row.id, "complexity"]
        assert row.png_bytes == by_id.loc[row.id, "png_bytes"]
        assert psnr(*pictures) == pytest.approx(row.psnr[1], rel=1e-5)
    ordered = sorted(table["budget"])
    assert tokens[FEWEST] == ordered[:8]
    assert tokens[MOST] == ordered[::-1][:8]
    assert len({row.id for row in gallery.rows}) == 16


def test_every_image_has_its_png_size(opened, small_run):
    _, curve, images = opened("elastic")
    _, allocated, _ = opened("policy: seed 0")
    sizes = []
    for image in images.pixels:
        file = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(file, "PNG", optimize=True)
        sizes.append(len(file.getvalue()))
    assert allocated["png_bytes"].tolist() == sizes
    assert curve["png_bytes"].tolist() == np.repeat(sizes, 3).tolist()
    assert small_run.artifact("elastic", "png_sizes") == small_run.artifact(
        "policy: seed 0", "png_sizes"
    )


def test_sizes_do_not_depend_on_the_threads(context, small_run):
    stage = context("elastic", "png_sizes")
    object.__setattr__(stage.spec.resources, "cpus", 3)
    result = png_sizes.run(stage)
    sizes = png_sizes.read_png_sizes(stage.work)
    expected = png_sizes.read_png_sizes(small_run.artifact("elastic", "png_sizes"))
    assert sizes.tolist() == expected.tolist()
    assert result == {"count": 24, "mean_bytes": pytest.approx(expected.mean())}
    assert stage.told[-1] == 24


def test_the_record_names_the_gallery(small_run):
    for label in ("elastic", "policy: seed 1", "fixed_at_mean"):
        folder = small_run.store.root / small_run.record(label).gallery
        assert folder == small_run.artifact(label)
        assert (folder / "gallery.npy").is_file()


def test_lengths_that_were_never_trained_are_shown_too(method_run, opened):
    """Two labels of the method run, whose bank has the untrained length 3."""
    gallery, table, _ = opened("policy: input pixels", method_run)
    assert set(table["budget"]) <= {1, 3, 4}
    for row, pictures in zip(gallery.rows, gallery.pixels, strict=True):
        assert psnr(*pictures) == pytest.approx(row.psnr[1], rel=1e-5)


class Halting:
    """A tokenizer that keeps as many tokens as asked for, and decodes them to that brightness."""

    budgets, max_tokens, bits_per_token, nested = (1, 2, 3), 3, 1.0, True

    def own_allocation(self, images, target):
        kept = (images.amax((1, 2, 3)) * 255).round().long()
        return kept[:, None], kept

    encode = own_allocation

    def decode(self, ids, kept):
        return (kept.float() / 255)[:, None, None, None].expand(-1, 3, 8, 8)


def test_a_tokenizer_that_halts_by_itself_sees_the_images_again():
    pixels = np.stack([np.full((3, 8, 8), value, np.uint8) for value in (30, 10, 20)])
    table = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "budget": [3, 1, 2],
            "psnr": [20.0, np.inf, 22.0],
            "complexity": np.nan,
            "png_bytes": [70, 71, 72],
        }
    )
    gallery = own_gallery(ImageSet(pixels, table), Halting(), table, 0.1, device="cpu")
    assert [(row.id, row.group, row.tokens[1]) for row in gallery.rows] == [
        ("b", FEWEST, 1),
        ("c", FEWEST, 2),
        ("a", MOST, 3),
    ]
    assert [row.psnr[1] for row in gallery.rows] == [None, 22.0, 20.0]
    assert {row.complexity for row in gallery.rows} == {None}
    for row, brightness in zip(gallery.pixels, (10, 20, 30), strict=True):
        assert (row == brightness).all()
