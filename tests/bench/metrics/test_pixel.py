import math

import pytest
import torch

from bench.metrics.pixel import MSE_FLOOR, mse, psnr


def images(value, size=8, batch=2):
    return torch.full((batch, 3, size, size), value, dtype=torch.uint8)


def test_known_errors_per_image():
    other = images(0)
    other[1] += 51
    assert mse(images(0), other).tolist() == pytest.approx([0, 0.04], rel=1e-15)
    assert mse(images(255), images(0)).tolist() == [1, 1]


def test_exact_on_large_images():
    a, b = images(255, 256, 1), images(0, 256, 1)
    b[0, 0, 0, 0] = 254
    pixels = 3 * 256 * 256
    exact = (255**2 * (pixels - 1) + 1) / (pixels * 255**2)
    assert mse(a, b).item() == pytest.approx(exact, rel=1e-15)
    assert mse(a, b).dtype == torch.float64


def test_a_difference_of_either_sign_counts_the_same():
    assert torch.equal(mse(images(3), images(5)), mse(images(5), images(3)))


def test_psnr_in_decibels():
    values = psnr(torch.tensor([1.0, 0.01, 0.001], dtype=torch.float64))
    assert values.tolist() == pytest.approx([0, 20, 30])


def test_an_exact_match_is_capped_at_the_rounding_error():
    cap = 10 * math.log10(12 * 255**2)
    values = psnr(torch.tensor([0, MSE_FLOOR / 2, MSE_FLOOR * 2], dtype=torch.float64))
    assert values[:2].tolist() == pytest.approx([cap, cap])
    assert values[2] < cap
    assert cap == pytest.approx(58.92, abs=0.005)


@pytest.mark.parametrize("bad", [images(0).float(), images(0, size=4)])
def test_other_dtypes_and_shapes_are_refused(bad):
    with pytest.raises(ValueError, match="uint8"):
        mse(images(0), bad)
