import base64
import io

import numpy as np
import pytest
from PIL import Image

from bench.artifacts.gallery import Gallery, GalleryRow
from reports.page.pictures import GAP, TILE, figure_uri, photograph_uri, sheets


def opened(uri):
    assert uri.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


def gallery(groups, *, size=8, columns=("original", "2", "8")):
    rng = np.random.default_rng(0)
    shape = (len(groups), len(columns), size, size, 3)
    rows = [
        GalleryRow(id=f"i{i}", group=group, tokens=(None, 2, 8), psnr=(None, 1.0, 2.0))
        for i, group in enumerate(groups)
    ]
    return Gallery(rng.integers(0, 256, shape, dtype=np.uint8), columns, tuple(rows))


def test_a_sheet_has_a_column_per_image_and_a_row_per_budget():
    shown = gallery(["", ""])
    (sheet,) = sheets(shown)
    pixels = np.asarray(opened(sheet.uri))
    assert pixels.shape == (3 * 8 + 2 * GAP, 2 * 8 + GAP, 3)
    np.testing.assert_array_equal(pixels[8 + GAP : 16 + GAP, 8 + GAP :], shown.pixels[1, 1])
    assert sheet.caption == "From the top: original, 2 tokens, 8 tokens."
    assert sheet.alt.startswith("2 images in 3 rows.")


def test_groups_have_sheets_of_their_own_with_what_they_spent():
    first, second = sheets(gallery(["fewest tokens", "most tokens", "fewest tokens"]))
    assert first.caption.startswith("Fewest tokens: 8, 8. From the top: original,")
    assert second.caption.startswith("Most tokens: 8.")


def test_large_images_become_small():
    (sheet,) = sheets(gallery([""], size=3 * TILE))
    assert opened(sheet.uri).size[0] == TILE


@pytest.mark.parametrize("embed", [figure_uri, photograph_uri])
def test_figures_keep_their_size(tmp_path, embed):
    path = tmp_path / "a.png"
    Image.new("RGB", (30, 20), (200, 10, 10)).save(path)
    uri, width, height = embed(path)
    assert (width, height) == opened(uri).size == (30, 20)
    assert opened(uri).convert("RGB").getpixel((3, 3)) == (200, 10, 10)
