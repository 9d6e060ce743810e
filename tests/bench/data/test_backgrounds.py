import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.backgrounds import BACKGROUNDS, _square_wave, between, draw_background, pick


def test_pick_and_between_stay_in_range():
    rng = np.random.default_rng(0)
    assert {pick(rng, 3) for _ in range(100)} == {0, 1, 2}
    assert all(2 <= between(rng, 2, 5) < 5 for _ in range(100))


def test_a_background_draws_as_many_numbers_at_every_resolution():
    for seed in range(30):
        small, large = np.random.default_rng(seed), np.random.default_rng(seed)
        first, _ = draw_background(small, 16)
        second, _ = draw_background(large, 64)
        assert first == second
        assert small.random() == large.random()


def test_colours_are_in_range_and_textures_vary():
    for seed in range(60):
        label, picture = draw_background(np.random.default_rng(seed), 32)
        assert picture.shape == (32, 32, 3)
        spread = np.ptp(picture, axis=(0, 1)).max()
        assert (spread == 0) == (BACKGROUNDS[label] == "flat")
        # A radial gradient may run past its second colour in a far corner.
        assert picture.min() > -64
        assert picture.max() < 320


def test_an_upright_wave_is_black_and_white_halves():
    wave = _square_wave(0.0, 0.5, 0.0, 8)
    np.testing.assert_allclose(wave[0], [1, 1, 0, 0, 1, 1, 0, 0], atol=1e-9)


@given(angle=st.floats(0, math.pi), period=st.floats(0.15, 0.6), phase=st.floats(0, 1))
def test_a_wave_is_a_share_of_the_pixel(angle, period, phase):
    wave = _square_wave(angle, period, phase, 32)
    assert wave.min() >= -1e-9
    assert wave.max() <= 1 + 1e-9


@pytest.mark.parametrize("phase", [0.0, 0.3])
def test_a_wave_is_averaged_over_pixels(phase):
    fine = _square_wave(0.0, 0.3, phase, 256)[0].reshape(32, 8).mean(1)
    np.testing.assert_allclose(_square_wave(0.0, 0.3, phase, 32)[0], fine, atol=1e-9)
