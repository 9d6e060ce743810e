import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from bench.judging.length_distance import length_distances


def test_distances_of_two_known_samples():
    found = length_distances(np.array([1, 1, 4, 4]), np.array([1, 2, 4, 8]))
    assert found["total_variation"]["value"] == pytest.approx(0.5)
    expected = wasserstein_distance([1, 1, 4, 4], [1, 2, 4, 8])
    assert found["wasserstein_1"]["value"] == pytest.approx(expected)


def test_equal_samples_are_at_no_distance_and_chance_says_what_equal_laws_come_to():
    lengths = np.repeat([1, 2, 4], 20)
    found = length_distances(lengths, lengths)
    for distance in found.values():
        assert (distance["value"], distance["low"], distance["p"]) == (0, 0, 1)
        assert distance["chance"] > 0


def test_samples_that_share_no_length_are_all_apart():
    found = length_distances(np.full(30, 2), np.full(40, 6))
    assert found["total_variation"]["low"] == found["total_variation"]["high"] == 1
    assert found["wasserstein_1"]["value"] == 4
    assert found["wasserstein_1"]["p"] == 0


def test_intervals_cover_the_true_distance():
    """Percentiles of resampled distances would hardly ever hold the 0 between equal laws."""
    rng = np.random.default_rng(0)
    lengths, shares = np.array([1, 2, 4, 8, 16]), np.array([0.3, 0.2, 0.2, 0.2, 0.1])
    for other, truth in ((shares, 0.0), (shares[::-1], 0.2)):
        held = 0
        for seed in range(100):
            a, b = rng.choice(lengths, 300, p=shares), rng.choice(lengths, 300, p=other)
            found = length_distances(a, b, seed=seed, resamples=400)["total_variation"]
            held += found["low"] <= truth <= found["high"]
        assert held >= 93


def test_the_seed_draws_the_resamples():
    a, b = np.array([1, 1, 2, 4, 4]), np.array([1, 2, 2, 4])
    assert length_distances(a, b, seed=1) == length_distances(a, b, seed=1)
    assert length_distances(a, b, seed=1) != length_distances(a, b, seed=2)
