import numpy as np
import pytest

from bench.metrics.frechet import frechet_distance, gaussian_statistics
from bench.metrics.infinite import frechet_infinite, smallest_count, subset_sizes

D = 8
MIX = np.random.default_rng(99).standard_normal((D, D))


def rectified(latent):
    """Skewed features, as those of a network: not Gaussian."""
    return np.maximum(latent @ MIX, 0)


def alike(n, seed):
    rng = np.random.default_rng(seed)
    return tuple(rectified(rng.standard_normal((n, D))) for _ in range(2))


def paired(n, seed):
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n, D))
    return rectified(latent), rectified(latent + 0.6 * rng.standard_normal((n, D)))


def plain(a, b):
    return frechet_distance(gaussian_statistics(a), gaussian_statistics(b))


def test_on_equal_distributions_the_slope_is_positive_and_the_intercept_near_zero():
    sets = [alike(400, seed) for seed in range(40)]
    found = [frechet_infinite(*both) for both in sets]
    intercepts = np.array([line.intercept for line in found])
    biased = np.mean([plain(*both) for both in sets])
    assert np.mean([line.slope for line in found]) > 0
    assert abs(intercepts.mean()) < 3 * intercepts.std(ddof=1) / np.sqrt(40)
    assert abs(intercepts.mean()) < biased / 4


def test_on_pairs_the_intercept_is_the_distance_of_many_images():
    truth = plain(*paired(200_000, 0))
    found = [frechet_infinite(*paired(200, seed)) for seed in range(12)]
    biased = np.mean([plain(*paired(200, seed)) for seed in range(12)])
    mean = np.mean([line.intercept for line in found])
    assert biased > 1.05 * truth
    assert abs(mean - truth) < abs(biased - truth) / 3


def test_the_standard_error_tells_the_scatter():
    """Over draws of subsets, the intercept scatters by about as much."""
    a, b = paired(300, 1)
    found = [frechet_infinite(a, b, seed=seed) for seed in range(30)]
    scatter = np.std([line.intercept for line in found], ddof=1)
    stated = np.mean([line.standard_error for line in found])
    assert scatter / 2 < stated < 2 * scatter


def test_it_is_a_line_through_distances_of_subsets_of_both_sides():
    a, b = paired(64, 2)
    rng = np.random.default_rng(7)
    x, y = [], []
    for size in subset_sizes(64):
        rows = np.sort(rng.choice(64, size, replace=False))
        x.append(1 / size)
        y.append(plain(a[rows], b[rows]))
    (slope, intercept), covariance = np.polyfit(x, y, 1, cov=True)
    found = frechet_infinite(a, b, seed=7)
    assert found.intercept == pytest.approx(intercept, rel=1e-6)
    assert found.slope == pytest.approx(slope, rel=1e-6)
    assert found.standard_error == pytest.approx(np.sqrt(covariance[1, 1]), rel=1e-6)


def test_subsets_go_from_half_to_all_evenly_in_their_inverse():
    sizes = subset_sizes(2800)
    assert (sizes[0], sizes[-1], len(sizes)) == (1400, 2800, 8)
    np.testing.assert_allclose(np.diff(1 / sizes), -1 / 2800 / 7, rtol=0.01)


def test_too_few_images_are_refused():
    assert (smallest_count(2048), smallest_count(2)) == (4098, 16)
    frechet_infinite(*alike(18, 0))
    with pytest.raises(ValueError, match="needs 18 feature vectors of 8 values, not 17"):
        frechet_infinite(*alike(17, 0))
    with pytest.raises(ValueError, match="same images"):
        frechet_infinite(np.zeros((20, 2)), np.zeros((21, 2)))
