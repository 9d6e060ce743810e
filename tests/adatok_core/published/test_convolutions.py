import pytest
import torch
from torch.nn import functional as F

from adatok_core.published.checkpoint import Checkpoint
from adatok_core.published.convolutions import STRIP, Doubling, GroupNorm
from adatok_core.published.weights import Weights


def weights(**tensors):
    named = {name.replace("_", "."): values for name, values in tensors.items()}
    return Weights(Checkpoint(named, None, {}), "a test", torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (16, 16)])
def test_doubling_is_the_nearest_neighbour_and_a_convolution(size):
    torch.manual_seed(0)
    weight, bias = torch.randn(7, 5, 3, 3), torch.randn(7)
    x = torch.randn(2, 5, *size)
    expected = F.conv2d(F.interpolate(x, scale_factor=2.0), weight, bias, padding=1)
    found = Doubling.of(weights(c_weight=weight, c_bias=bias), "c")(x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", [3, 96])
def test_group_norm_keeps_its_digits(side):
    torch.manual_seed(0)
    scale, shift = torch.randn(64), torch.randn(64)
    x = (5 + torch.randn(2, 64, side, side)).contiguous(memory_format=torch.channels_last)
    assert (x.numel() > STRIP) == (side == 96)
    norm = GroupNorm.of(weights(n_weight=scale, n_bias=shift), "n")
    exact = F.group_norm(x.double(), 32, scale.double(), shift.double(), 1e-6)
    for silu in (False, True):
        expected = F.silu(exact) if silu else exact
        found = norm(x.clone(memory_format=torch.preserve_format), silu=silu, reuse=True)
        kept = norm(x, silu=silu)
        assert torch.equal(found, kept)
        # torch's own, where channels lie together, is off by 2e-5 and more.
        assert (kept - expected).square().mean().sqrt() < 3e-6


def test_channels_that_are_not_32_groups_are_refused():
    with pytest.raises(ValueError, match="n has 48 channels, which are not 32 groups"):
        GroupNorm.of(weights(n_weight=torch.ones(48), n_bias=torch.zeros(48)), "n")
