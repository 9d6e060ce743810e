import numpy as np
import pandas as pd
import pytest

from bench.artifacts.gallery import FEWEST, MOST, Gallery, GalleryRow, gallery_of
from bench.errors import UserError
from reports.figures import extremes, gallery
from reports.figures.gallery import COLUMNS, draw, gallery_data
from reports.paper.sheet import file_names
from reports.paper.style import paper_style

pytestmark = pytest.mark.usefixtures("unrendered")


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def with_curve(store, vary, complete):
    """`with_curve(record)`: the record with a gallery of 3 images at 2 and 4 tokens."""

    def with_curve(record):
        name = f"evaluation/{record.cell_key}"
        rows = tuple(
            GalleryRow(
                id=f"image {i}",
                tokens=(None, 2, 4),
                psnr=(None, 18.0 + i, 20.0 + i),
                complexity=float(i) if i else None,
                png_bytes=100 * i,
            )
            for i in range(3)
        )
        pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 8, 3), dtype=np.uint8)
        Gallery(pixels, ("original", "2", "4"), rows).write(store / name)
        complete(store / name)
        return vary(record, gallery=name)

    return with_curve


@pytest.fixture
def with_extremes(store, vary, complete):
    """`with_extremes(record, tokens)`: the record with a gallery of its extremes."""

    def with_extremes(record, tokens=(2, 2, 16, 8)):
        name = f"evaluation/{record.cell_key}"
        rows = tuple(
            GalleryRow(
                id=f"image {i}",
                group=(FEWEST, MOST)[i // 2],
                tokens=(None, k),
                psnr=(None, 15.0 + i),
            )
            for i, k in enumerate(tokens)
        )
        seed = record.config.policy.seed
        pixels = np.random.default_rng(seed).integers(0, 256, (4, 2, 8, 8, 3), dtype=np.uint8)
        Gallery(pixels, ("original", "chosen budget"), rows).write(store / name)
        complete(store / name)
        return vary(record, gallery=name)

    return with_extremes


def drawn(figure):
    (axes,) = figure.axes
    return axes.get_images(), [text.get_text() for text in axes.texts]


def test_pictures_and_their_words_are_the_gallerys(tokenizer, with_curve, store, tmp_path):
    record = with_curve(tokenizer())
    made = gallery.report([record], tmp_path / "out", store=store)
    assert [path.name for path in made.files] == [
        f"gallery-elastic.{kind}" for kind in ("png", "pdf", "csv")
    ]
    assert "PSNR goes from 19.0 dB at 2 tokens to 21.0 dB at 4" in made.alt
    written = pd.read_csv(made.files[2])
    assert list(written.columns) == COLUMNS
    assert written["psnr"].dropna().tolist() == [18.0, 20.0, 19.0, 21.0, 20.0, 22.0]
    stored = gallery_of(record, store)
    with paper_style():
        pictures, words = drawn(draw(gallery_data("elastic", stored), stored.pixels))
    assert len(pictures) == len(written) == 9
    for picture, expected in zip(pictures, stored.pixels.reshape(9, 8, 8, 3), strict=True):
        np.testing.assert_array_equal(picture.get_array(), expected)
    assert words.count("original") == words.count("2 tokens") == words.count("4 tokens") == 1
    assert {"18.0 dB", "22.0 dB", "1 object\n100 B PNG", "0 B PNG", "elastic"} <= set(words)


@pytest.mark.parametrize("size", ["page", "column"])
def test_pictures_stand_apart_and_inside(tokenizer, with_curve, store, size):
    stored = gallery_of(with_curve(tokenizer()), store)
    with paper_style(size):
        figure = draw(gallery_data("elastic", stored), stored.pixels)
        figure.draw_without_rendering()
    boxes = [picture.get_window_extent() for picture in figure.axes[0].get_images()]
    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)
    for artist in (*figure.axes[0].get_images(), *figure.axes[0].texts):
        box = artist.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.width + 1
        assert box.y0 >= -1
        assert box.y1 <= figure.bbox.height + 1


def test_one_gallery_per_tokenizer_of_its_first_seed(tokenizer, with_curve, store, tmp_path):
    records = [tokenizer(), with_curve(tokenizer(seed=1)), with_curve(tokenizer("other: 2"))]
    made = gallery.report(records, tmp_path / "out", store=store)
    names = [path.name for path in made.files if path.suffix == ".csv"]
    assert names == ["gallery-elastic.csv", "gallery-other-2.csv"]


def test_generated_images_have_no_original(store, generated, vary, complete, tmp_path):
    pixels = np.zeros((1, 2, 8, 8, 3), np.uint8)
    row = GalleryRow(id="sample/0", group="checks", tokens=(3, 5), psnr=(None, None))
    Gallery(pixels, ("sample 1", "sample 2"), (row,)).write(store / "samples" / "g")
    complete(store / "samples" / "g")
    record = vary(generated("generator"), gallery="samples/g")
    made = gallery.report([record], tmp_path / "out", store=store)
    assert made.alt == "generator: 1 rows of generated images."
    stored = gallery_of(record, store)
    with paper_style():
        _, words = drawn(draw(gallery_data("generator", stored), stored.pixels))
    assert {"3 tokens", "5 tokens", "checks"} <= set(words)
    assert "sample 1" not in words


def test_extremes_are_of_the_policy_with_the_largest_skill(
    tokenizer, policy, with_extremes, store, tmp_path
):
    half, dual = {"kind": "fixed", "efficiency": 0.5}, {"kind": "constraint", "mean_budget": 6}
    records = [
        tokenizer(),
        with_extremes(policy(skill=0.2, swept={"policy.weighting": half})),
        with_extremes(policy(skill=0.6, swept={"policy.weighting": dual}, collapsed=True)),
        with_extremes(policy(skill=0.6, swept={"policy.weighting": dual}, seed=1)),
    ]
    made = extremes.report(records, tmp_path / "out", store=store)
    assert [path.name for path in made.files if path.suffix == ".csv"] == [
        "extremes-elastic-policy-constraint-mean_budget-6.csv"
    ]
    assert "2 images with the fewest tokens: 2 to 2 tokens, 15.5 dB" in made.alt
    assert "2 images with the most tokens: 8 to 16 tokens, 17.5 dB" in made.alt
    stored = gallery_of(records[3], store)  # the first seed has collapsed
    written = pd.read_csv(made.files[2])
    assert written["tokens"].dropna().tolist() == [2, 2, 16, 8]
    with paper_style():
        pictures, words = drawn(extremes.draw(gallery_data("p", stored), stored.pixels))
    np.testing.assert_array_equal(
        [picture.get_array() for picture in pictures], stored.pixels.reshape(8, 8, 8, 3)
    )
    assert {FEWEST, MOST, "16\n17.0", "8\n18.0", "tokens\nPSNR (dB)"} <= set(words)


def test_extremes_of_a_collapsed_policy_say_so(policy, with_extremes, store, tmp_path):
    record = with_extremes(policy(collapsed=True), tokens=(4, 4, 4, 4))
    made = extremes.report([record], tmp_path / "out", store=store)
    assert made.alt.endswith("all images shown got the same number of tokens.")
    stored = gallery_of(record, store)
    with paper_style():
        _, words = drawn(extremes.draw(gallery_data("p", stored), stored.pixels))
    assert f"{FEWEST}: one budget for all images shown" in words


def test_a_gallery_that_is_gone_is_a_line_that_names_it(tokenizer, vary, store, tmp_path):
    record = vary(tokenizer(), gallery="evaluation/gone")
    with pytest.raises(UserError, match=r"cannot read the gallery in .*gone"):
        gallery.report([record], tmp_path / "out", store=store)


def test_records_from_before_galleries_have_none(tokenizer, policy, store, tmp_path):
    for module, words in ((gallery, "Gallery: not drawn"), (extremes, "Extremes: not drawn")):
        made = module.report([tokenizer(), policy()], tmp_path / "out", store=store)
        assert made.text.startswith(words)
        assert made.files == []


def test_files_are_named_after_what_they_show():
    assert file_names("gallery", ["a: b, c 8", "a b c 8", "../x", "???", ""]) == [
        "gallery-a-b-c-8",
        "gallery-a-b-c-8-2",
        "gallery-x",
        "gallery",
        "gallery-2",
    ]


def test_galleries_of_a_run_are_drawn(small_run, tmp_path):
    records, store = small_run.result.records, small_run.store.root
    names = []
    for module in (gallery, extremes):
        made = module.report(records, tmp_path, store=store)
        assert "failed: diverged" in made.text
        names += [path.name for path in made.files if path.suffix == ".csv"]
    assert names == [
        "gallery-elastic.csv",
        "gallery-fixed_at_mean.csv",
        "extremes-elastic-policy.csv",
    ]
