import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from bench.metrics.ssim import ssim


def images(n, height, width, seed):
    """Smooth images: neighbouring pixels are alike, as SSIM expects."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 5, 5, generator=generator) * 255
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 255)


def by_skimage(a, b):
    """Wang et al.'s settings: a Gaussian window and biased moments; the mean leaves out borders."""
    return structural_similarity(
        a.numpy() / 255,
        b.numpy() / 255,
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )


@pytest.mark.parametrize(("height", "width"), [(11, 11), (32, 32), (24, 40)])
@pytest.mark.parametrize("noise", [0, 3, 60])
def test_agrees_with_scikit_image(height, width, noise):
    smooth = images(4, height, width, seed=height)
    noisy = smooth + noise * torch.randn(smooth.shape, generator=torch.Generator().manual_seed(1))
    a, b = smooth.to(torch.uint8), noisy.clamp(0, 255).to(torch.uint8)
    expected = [by_skimage(x, y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(ssim(a, b), expected, atol=2e-5)


def test_flat_images_differ_in_luminance_alone():
    a, b = (torch.full((1, 3, 16, 16), v, dtype=torch.uint8) for v in (51, 102))
    expected = (2 * 0.2 * 0.4 + 1e-4) / (0.2**2 + 0.4**2 + 1e-4)
    assert ssim(a, b).item() == pytest.approx(expected, rel=1e-5)


def test_one_for_equal_images_symmetric_and_falling_with_the_noise():
    smooth = images(2, 32, 32, seed=0)
    noise = torch.randn(smooth.shape, generator=torch.Generator().manual_seed(0))
    noisy = [(smooth + sigma * noise).clamp(0, 255).to(torch.uint8) for sigma in (0, 5, 20, 80)]
    values = torch.stack([ssim(noisy[0], other) for other in noisy])
    torch.testing.assert_close(values[0], torch.ones(2))
    assert (values.diff(dim=0) < -0.01).all()
    torch.testing.assert_close(ssim(noisy[2], noisy[0]), values[2])


def test_each_image_has_its_own_value():
    a = images(3, 16, 16, seed=0).to(torch.uint8)
    b = a.clone()
    b[1] = 255 - b[1]
    values = ssim(a, b)
    assert values.dtype == torch.float32
    assert values[0] == values[2] == pytest.approx(1)
    assert values[1] < 0.5


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16), "uint8"),
        (images(1, 16, 16, 0).byte(), images(2, 16, 16, 0).byte(), "one shape"),
        (images(1, 16, 10, 0).byte(), images(1, 16, 10, 0).byte(), r"11 px, not \(16, 10\)"),
    ],
)
def test_other_dtypes_shapes_and_small_images_are_refused(a, b, message):
    with pytest.raises(ValueError, match=message):
        ssim(a, b)
