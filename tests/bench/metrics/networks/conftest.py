import pytest
import torch


@pytest.fixture(scope="session")
def image_pair():
    """`image_pair(n, height, width)`: smooth images and the same with noise, uint8."""

    def image_pair(count, height, width):
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand(count, 3, 6, 6, generator=generator) * 255
        smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
        noise = torch.randn(smooth.shape, generator=generator) * 25
        return smooth.to(torch.uint8), (smooth + noise).clamp(0, 255).to(torch.uint8)

    return image_pair
