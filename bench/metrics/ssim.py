"""Structural similarity of 8-bit images."""

import torch

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2  # for values in [0, 1]


def ssim(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean structural similarity per image, over its channels: `[B]` float32, 1 where equal.

    Wang et al. 2004: Gaussian window of 11 x 11 with standard deviation 1.5, biased local moments,
    K1 = 0.01, K2 = 0.03, on values in [0, 1], only where the window lies within the image.

    Args:
        a, b: `[B, C, H, W]` uint8, at least 11 px wide and high.

    Raises:
        ValueError: the images are not uint8, their shapes differ, or they are too small.
    """
    if a.dtype != torch.uint8 or b.dtype != torch.uint8 or a.shape != b.shape:
        raise ValueError(
            f"expected two uint8 batches of one shape, not {a.dtype} {a.shape} and "
            f"{b.dtype} {b.shape}"
        )
    if min(a.shape[-2:]) < _WINDOW:
        raise ValueError(f"SSIM needs images of at least {_WINDOW} px, not {tuple(a.shape[-2:])}")
    x, y = (batch.flatten(0, 1).float() / 255 for batch in (a, b))
    # Moments about a constant near the middle: float32 squares then cancel less.
    moments = _blur(torch.cat([x, y, (x - 0.5) ** 2, (y - 0.5) ** 2, (x - 0.5) * (y - 0.5)]))
    mean_x, mean_y, square_x, square_y, product = moments.chunk(5)
    variances = square_x - (mean_x - 0.5) ** 2 + square_y - (mean_y - 0.5) ** 2
    covariance = product - (mean_x - 0.5) * (mean_y - 0.5)
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    similarity = luminance * (2 * covariance + _C2) / (variances + _C2)
    return similarity.flatten(1).mean(1).reshape(a.shape[:2]).mean(1)


def image_ssim(original: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    """SSIM per image, `[B]`; in the last digit it depends on which of the two comes first."""
    return ssim(decoded, original)


def _blur(images: torch.Tensor) -> torch.Tensor:
    """Gaussian means `[K, H - 10, W - 10]` of `[K, H, W]`.

    By products with banded matrices: up to some hundred pixels, ten times faster than convolutions
    of one channel.
    """
    rows, columns = (_band(size).to(images) for size in images.shape[-2:])
    return rows @ images @ columns.T


def _band(size: int) -> torch.Tensor:
    """`[size - 10, size]`: each row holds the window, one pixel further than the row before."""
    steps = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    window = (-(steps**2) / (2 * _SIGMA**2)).exp()
    band = torch.zeros(size - _WINDOW + 1, size, dtype=torch.float64)
    for row in range(len(band)):
        band[row, row : row + _WINDOW] = window / window.sum()
    return band
