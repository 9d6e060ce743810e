import io

import numpy as np
import pytest
from PIL import Image

from bench.allocators.base import Seen
from bench.allocators.scores import CodeSurprisal, edge_density, png_size


def test_png_size_counts_the_bytes_of_a_lossless_file(images):
    seen = images(5)
    sizes = png_size(seen)
    for image, size in zip(seen.pixels, sizes, strict=True):
        file = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(file, "PNG", optimize=True)
        assert size == len(file.getvalue())
        assert (np.array(Image.open(file)) == image.transpose(1, 2, 0)).all()
    assert np.ptp(sizes) > 0


def test_edge_density_of_known_images():
    flat = np.full((3, 4, 4), 77)
    ramp = np.broadcast_to(np.arange(4) * 10, (3, 4, 4))
    diagonal = np.broadcast_to(3 * np.arange(4)[:, None] + 4 * np.arange(4), (3, 4, 4))
    red = np.zeros((3, 4, 4))
    red[0, :, 2:] = 100  # one of three gradients across, of luminance 29.9
    pixels = np.stack([flat, ramp, diagonal, red]).astype(np.uint8)
    density = edge_density(Seen(count=4, pixels=pixels))
    assert density == pytest.approx([0, 10, 5, 29.9 / 3])


def test_edge_density_of_a_batch_is_that_of_each(images):
    seen = images(300)
    alone = [edge_density(Seen(count=1, pixels=seen.pixels[i : i + 1]))[0] for i in (0, 255, 299)]
    assert edge_density(seen)[[0, 255, 299]] == pytest.approx(alone)


def test_surprisal_of_known_codes():
    ids = np.array([[7, 1], [7, 2], [7, 3], [9, 3], [9, 3], [9, 3]])
    surprisal = CodeSurprisal.fitted(ids, prefix=None)
    # Position 0: 7 and 9 three times, rest: 4, 4 and 1 of 9; position 1: 2, 2, 5 and 1 of 10.
    seen = Seen(count=4, ids=np.array([[7, 3], [9, 1], [8, 3], [10**10, 4]]))
    expected = [
        (np.log2(9 / 4) + np.log2(2)) / 2,
        (np.log2(9 / 4) + np.log2(5)) / 2,
        (np.log2(9) + np.log2(2)) / 2,
        (np.log2(9) + np.log2(10)) / 2,
    ]
    assert surprisal(seen) == pytest.approx(expected)


def test_surprisal_ends_with_the_prefix():
    ids = np.array([[7, 1], [7, 2], [9, 3]])
    first = CodeSurprisal.fitted(ids, prefix=1)
    assert first(Seen(count=2, ids=np.array([[7, 1], [7, 99]]))) == pytest.approx([1, 1])
    both = CodeSurprisal.fitted(ids, prefix=2)
    known, unknown = both(Seen(count=2, ids=np.array([[7, 1], [7, 99]])))
    assert known < unknown
