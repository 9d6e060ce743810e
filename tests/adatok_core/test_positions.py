import pytest
import torch

from adatok_core.positions import grid_positions, sequence_positions


@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize(
    "make", [sequence_positions, lambda n, d, scale: grid_positions(8, d, scale=scale)]
)
def test_positions_differ_and_have_their_scale(make, scale):
    torch.manual_seed(0)
    positions = make(64, 32, scale=scale).detach()
    assert positions.shape == (64, 32)
    assert positions.square().mean().sqrt().item() == pytest.approx(scale, rel=0.1)
    assert len(positions.unique(dim=0)) == 64


def test_a_grid_is_rows_first_and_neighbours_are_alike():
    grid = grid_positions(8, 32).detach().view(8, 8, 32)
    assert torch.equal(grid[:, :1, :16].expand(8, 8, 16), grid[..., :16])  # rows
    assert torch.equal(grid[:1, :, 16:].expand(8, 8, 16), grid[..., 16:])  # columns
    near, far = grid[3, 3] - grid[3, 4], grid[3, 3] - grid[3, 7]
    assert near.norm() < far.norm()


@pytest.mark.parametrize("width", [5, 6, 7])
def test_a_width_that_four_does_not_divide_is_padded(width):
    assert grid_positions(3, width).shape == (9, width)
