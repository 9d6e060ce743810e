"""Per-image pixel errors of 8-bit images."""

import torch

# The mean squared error of rounding to 8 bits: smaller errors than this cannot be told apart.
MSE_FLOOR = (1 / 255) ** 2 / 12


def mse(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean squared error per image on the [0, 1] scale: `[B]` float64, exact up to one rounding.

    Args:
        a, b: `[B, C, H, W]` uint8.

    Raises:
        ValueError: the images are not uint8 or their shapes differ.
    """
    if a.dtype != torch.uint8 or b.dtype != torch.uint8 or a.shape != b.shape:
        raise ValueError(
            f"expected two uint8 batches of one shape, not {a.dtype} {a.shape} and "
            f"{b.dtype} {b.shape}"
        )
    squared = (a.float() - b.float()).square()  # integers up to 255^2: exact in float32
    return squared.flatten(1).mean(1, dtype=torch.float64) / 255**2


def psnr(mse: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB per image, from its MSE on the [0, 1] scale.

    The PSNR of a set is the mean of this over its images, not the PSNR of its mean error. The MSE
    is floored at the error of rounding to 8 bits, (1/255)^2 / 12, so an exact match is 58.92 dB and
    not infinite.
    """
    return -10 * mse.clamp(min=MSE_FLOOR).log10()


def image_psnr(original: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    """PSNR in dB per image of uint8 images `[B, C, H, W]`: `[B]` float64; raises as `mse`."""
    return psnr(mse(decoded, original))
