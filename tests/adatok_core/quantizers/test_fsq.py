import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from adatok_core import config
from adatok_core.quantizers.fsq import FSQ

WIDTH, TOKENS = 8, 10
deterministic = settings(deadline=None, derandomize=True, max_examples=25)


@deterministic
@given(st.lists(st.integers(2, 9), min_size=1, max_size=4))
def test_every_code_is_reached(levels):
    # Latents whose sigmoid lies at the middle of each level; the ends are approached only.
    steps = [torch.linspace(1e-3, 1 - 1e-3, n).logit().tolist() for n in levels]
    grid = torch.tensor(list(itertools.product(*steps)))
    quantizer = FSQ(len(levels), config.FSQ(levels=tuple(levels)), tokens=len(grid))
    nn.init.eye_(quantizer.project.weight)
    out = quantizer(grid[None])
    assert out.ids.unique().tolist() == list(range(quantizer.codebook_size))
    assert out.loss == 0
    for dimension, n in enumerate(levels):
        values = out.codes[..., dimension].unique()
        torch.testing.assert_close(values, torch.linspace(-1, 1, n), atol=1e-6, rtol=0)


def test_the_first_level_is_the_lowest_digit(quantizer_of):
    quantizer = quantizer_of(config.FSQ(levels=(3, 2)))
    expected = [[-1, -1], [0, -1], [1, -1], [-1, 1], [0, 1], [1, 1]]
    assert quantizer.decode(torch.arange(6)[None])[0].tolist() == expected


@pytest.mark.parametrize("level", [2, 5, 8])
def test_a_dimension_takes_as_many_values_as_it_has_levels(level, quantizer_of):
    quantizer = quantizer_of(config.FSQ(levels=(level, 3)))
    out = quantizer(5 * torch.randn(40, TOKENS, WIDTH))
    assert len(out.codes[..., 0].unique()) == level
    assert len(out.codes[..., 1].unique()) == 3


def test_every_position_has_its_own_bias(quantizer_of):
    quantizer = quantizer_of(config.FSQ(levels=(8, 5, 2)))
    with torch.no_grad():
        quantizer.project.bias[4] += 20
    codes = quantizer(torch.randn(6, TOKENS, WIDTH)).codes
    assert (codes == 1).all(-1).all(0).nonzero().flatten().tolist() == [4]


def test_extreme_latents_are_bounded(quantizer_of):
    quantizer = quantizer_of(config.FSQ(levels=(8, 5)))
    out = quantizer(torch.randn(4, TOKENS, WIDTH) * 1e6)
    assert out.codes.abs().max() <= 1
    assert out.ids.max() < 40
