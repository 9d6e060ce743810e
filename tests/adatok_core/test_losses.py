import pytest
import torch

from adatok_core.losses import (
    discriminator_hinge,
    generator_hinge,
    perceptual_distance,
    pixel_distance,
)


def test_known_value():
    a = torch.tensor([[3.0, 0.0], [0.0, 1.0]]).T[None, :, :, None]  # positions (3, 0) and (0, 1)
    b = torch.tensor([[0.0, 5.0], [0.0, 2.0]]).T[None, :, :, None]  # positions (0, 5) and (0, 2)
    # squared differences of the unit vectors: 2 and 0, so 1 on average, once per map
    assert perceptual_distance([a], [b]).tolist() == pytest.approx([1.0])
    assert perceptual_distance([a, a], [b, b]).tolist() == pytest.approx([2.0])


def test_zero_with_itself_symmetric_and_per_image():
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4, 5, 5), (3, 8, 2, 2)]
    a = [torch.randn(shape, generator=generator) for shape in shapes]
    b = [torch.randn(shape, generator=generator) for shape in shapes]
    distance = perceptual_distance(a, b)
    assert distance.shape == (3,)
    assert torch.equal(perceptual_distance(a, a), torch.zeros(3))
    torch.testing.assert_close(perceptual_distance(b, a), distance)
    alone = perceptual_distance([m[1:2] for m in a], [m[1:2] for m in b])
    torch.testing.assert_close(alone, distance[1:2])


def test_channel_vectors_of_zero_length_give_no_nan():
    zero = torch.zeros(1, 4, 2, 2, requires_grad=True)
    distance = perceptual_distance([zero], [torch.ones(1, 4, 2, 2)])
    distance.sum().backward()
    assert distance.item() == pytest.approx(1.0)
    assert torch.isfinite(zero.grad).all()


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="different shapes"):
        perceptual_distance([torch.zeros(2, 4, 2, 2)], [torch.zeros(1, 4, 2, 2)])
    with pytest.raises(ValueError, match="different shapes"):
        perceptual_distance([torch.zeros(2, 4, 2, 2)], [])


def test_pixel_distances_are_means_over_all_values():
    a, b = torch.tensor([[0.0, 1.0], [0.5, 0.5]]), torch.tensor([[0.0, 3.0], [1.5, 0.5]])
    assert pixel_distance(a, b, kind="l1").item() == pytest.approx(3 / 4)
    assert pixel_distance(a, b, kind="l2").item() == pytest.approx(5 / 4)


def test_hinge_losses_have_known_values():
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 1.0])
    # beyond the margins 1 and -1 nothing is left to learn: (0 + 1) / 2 and (0 + 2) / 2
    assert discriminator_hinge(real, fake).item() == pytest.approx(1.5)
    assert discriminator_hinge(real + 9, fake - 9).item() == 0.0
    assert generator_hinge(fake).item() == pytest.approx(1.0)
