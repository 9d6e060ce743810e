import numpy as np
import pytest
from PIL import Image

from bench.data.augment import Augment, cropped, draws_of, flipped

MANY = draws_of(0, np.zeros(2000), np.arange(2000))


def test_draws_are_uniform_and_a_function_of_seed_epoch_and_index():
    assert abs(MANY.mean(0) - 0.5).max() < 0.03
    assert abs(np.corrcoef(MANY[:, :8].T) - np.eye(8)).max() < 0.1
    assert MANY.min() >= 0
    assert MANY.max() < 1
    some = draws_of(3, np.array([0, 1, 0]), np.array([7, 7, 8]))
    assert np.array_equal(some[1:2], draws_of(3, np.array([1]), np.array([7])))
    others = [*some, *draws_of(4, np.array([0]), np.array([7]))]
    assert len({one.tobytes() for one in others}) == 4


@pytest.mark.parametrize("size", [(200, 100), (100, 120), (30, 300)])
def test_random_crops_are_squares_of_the_scale(size):
    boxes = np.array([Augment(scale=(0.5, 0.8)).box(size, draws) for draws in MANY])
    left, top, right, bottom = boxes.T
    across, down = right - left, bottom - top
    assert np.allclose(across, down)
    assert across.min() < 0.52 * min(size) < 0.78 * min(size) < across.max()
    assert (boxes >= 0).all()
    assert (right <= size[0]).all()
    assert (bottom <= size[1]).all()
    assert left.max() > 0.9 * (size[0] - across.max())


@pytest.mark.parametrize("size", [(200, 100), (100, 120), (30, 300)])
def test_resized_crops_have_area_and_aspect_in_their_ranges(size):
    augment = Augment(crop="resized", scale=(0.3, 0.6))
    boxes = np.array([augment.box(size, draws) for draws in MANY])
    across, down = (boxes[:, 2:] - boxes[:, :2]).T
    assert (across / down > 0.7499).all()
    assert (across / down < 1.3334).all()
    assert (boxes >= 0).all()
    assert (boxes[:, 2:] <= size).all()
    if max(size) < 2 * min(size) + 1:
        share = across * down / (size[0] * size[1])
        assert 0.2999 < share.min() < 0.31
        assert 0.59 < share.max() < 0.6001


def test_a_crop_shows_its_box():
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:, :, 0] = np.arange(80)
    pixels[:, :, 1] = np.arange(60)[:, None]
    draws = MANY[0]
    left, top, right, bottom = Augment().box((80, 60), draws)
    found = cropped(Image.fromarray(pixels), Augment(), draws, resolution=16)
    assert found.shape == (3, 16, 16)
    assert abs(found[0].mean() - ((left + right) / 2 - 0.5)) < 1
    assert abs(found[1].mean() - ((top + bottom) / 2 - 0.5)) < 1


def test_half_of_the_images_are_mirrored():
    image = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    found = [flipped(image, draws) for draws in MANY]
    mirrored = [np.array_equal(one, image[:, :, ::-1]) for one in found]
    assert abs(np.mean(mirrored) - 0.5) < 0.03
    assert all(np.array_equal(f, image) for f, m in zip(found, mirrored, strict=True) if not m)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scale": (0.9, 0.5)}, "scale: .*must rise"),
        ({"scale": (0.0, 0.5)}, "scale: .*must rise"),
        ({"crop": "centre", "scale": (0.5, 1.0)}, "scale: the centre crop has none"),
        ({"crop": "centre", "flip": False}, "changes nothing"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Augment(**settings)
