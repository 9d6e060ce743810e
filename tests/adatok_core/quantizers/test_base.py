import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adatok_core.quantizers import Projection
from adatok_core.quantizers.base import join_digits, split_digits, straight_through

deterministic = settings(deadline=None, derandomize=True, max_examples=50)


@st.composite
def sizes_and_digits(draw):
    sizes = draw(st.lists(st.integers(1, 300), min_size=1, max_size=7))
    digits = [[draw(st.integers(0, size - 1)) for size in sizes] for _ in range(3)]
    return sizes, torch.tensor(digits)


@deterministic
@given(sizes_and_digits())
def test_digits_of_a_mixed_radix_are_taken_apart_and_joined(example):
    sizes, digits = example
    numbers = join_digits(digits, sizes)
    assert numbers.dtype == torch.int64
    for number, row in zip(numbers.tolist(), digits.tolist(), strict=True):
        assert number == sum(d * math.prod(sizes[:place]) for place, d in enumerate(row))
    assert torch.equal(split_digits(numbers, sizes), digits)


def test_the_first_digit_is_the_lowest():
    assert split_digits(torch.tensor([7, 23]), (2, 3, 4)).tolist() == [[1, 0, 1], [1, 2, 3]]
    assert join_digits(torch.tensor([[1, 0, 1], [1, 2, 3]]), (2, 3, 4)).tolist() == [7, 23]


def test_62_bits_do_not_overflow():
    top = torch.full((1, 62), 1)
    assert join_digits(top, (2,) * 62).tolist() == [2**62 - 1]
    assert torch.equal(split_digits(torch.tensor([2**62 - 1]), (2,) * 62), top)


@deterministic
@given(st.floats(-1e6, 1e6, width=32), st.floats(-2, 2, width=32))
def test_straight_through_keeps_the_value_exactly_and_the_gradient(smooth, hard):
    x = torch.tensor(smooth, requires_grad=True)
    out = straight_through(3 * x, torch.tensor(hard, requires_grad=True))
    assert out.item() == hard
    out.backward()
    assert x.grad == 3


def test_a_projection_is_linear_with_a_bias_per_position():
    torch.manual_seed(0)
    project = Projection(6, 3, tokens=4)
    latents = torch.randn(5, 4, 6)
    with torch.no_grad():
        project.bias += torch.arange(4)[:, None]
    expected = torch.einsum("bnd,cd->bnc", latents, project.weight) + torch.arange(4)[:, None]
    torch.testing.assert_close(project(latents), expected)
    torch.testing.assert_close(project(latents[:, :2]), expected[:, :2])


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_calibration_sets_mean_and_spread(spread):
    torch.manual_seed(0)
    project = Projection(6, 3, tokens=4)
    latents = 3 + torch.randn(1, 4, 6) + 0.01 * torch.randn(50, 4, 6)
    project.calibrate(latents, spread=spread)
    points = project(latents)
    torch.testing.assert_close(points.mean(0), torch.zeros(4, 3), atol=2e-3, rtol=0)
    actual = points.std(0).square().mean(0).sqrt()
    torch.testing.assert_close(actual, torch.full((3,), spread))


def test_identical_images_do_not_blow_the_weights_up():
    torch.manual_seed(0)
    project = Projection(6, 3, tokens=4)
    project.calibrate(torch.randn(1, 4, 6).expand(50, -1, -1), spread=0.5)
    assert project.weight.abs().max() < 5e3


def test_the_projection_stays_in_float32_under_autocast():
    torch.manual_seed(0)
    project = Projection(6, 3, tokens=4)
    latents = torch.randn(5, 4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        points = project(latents)
        from_half = project(latents.bfloat16())
    assert torch.equal(points, project(latents))
    assert from_half.dtype == torch.float32
