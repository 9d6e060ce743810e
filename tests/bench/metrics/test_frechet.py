import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics.frechet import (
    FrechetReference,
    GaussianStatistics,
    frechet_distance,
    gaussian_statistics,
)


def gaussian(mean, covariance):
    return GaussianStatistics(np.asarray(mean, float), np.asarray(covariance, float), 100)


def samples(n, d, seed):
    return np.random.default_rng(seed).standard_normal((n, d))


def rotation(d, seed):
    return np.linalg.qr(samples(d, d, seed))[0]


@settings(deadline=None, derandomize=True)
@given(n=st.integers(2, 60), d=st.integers(1, 8), block=st.integers(1, 70), seed=st.integers(0, 99))
def test_streaming_agrees_with_two_passes(n, d, block, seed):
    features = samples(n, d, seed) + 1e4
    statistics = gaussian_statistics(features, block=block)
    np.testing.assert_allclose(statistics.mean, features.mean(0), rtol=1e-12)
    expected = np.cov(features, rowvar=False).reshape(d, d)
    np.testing.assert_allclose(statistics.covariance, expected, atol=1e-9)
    assert statistics.count == n


def test_float32_features_are_summed_in_float64():
    features = (samples(500, 3, 0) + 1000).astype(np.float32)
    expected = np.cov(features.astype(np.float64), rowvar=False)
    statistics = gaussian_statistics(features, block=64)
    np.testing.assert_allclose(statistics.covariance, expected, rtol=1e-10)
    assert statistics.mean.dtype == np.float64


def test_one_sample_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        gaussian_statistics(np.zeros((1, 3)))


def test_known_distance_of_diagonal_gaussians():
    a = gaussian([0, 0, 1], np.diag([1.0, 4.0, 9.0]))
    b = gaussian([3, 0, 1], np.diag([4.0, 4.0, 0.0]))
    # 3^2 + (1 - 2)^2 + (2 - 2)^2 + (3 - 0)^2
    assert frechet_distance(a, b) == pytest.approx(19, abs=1e-6)


def test_known_distance_holds_in_a_rotated_basis():
    q = rotation(3, 1)
    a = gaussian([0, 0, 0], q @ np.diag([1.0, 4.0, 9.0]) @ q.T)
    b = gaussian([0, 0, 0], q @ np.diag([4.0, 16.0, 1.0]) @ q.T)
    assert frechet_distance(a, b) == pytest.approx(1 + 4 + 4, rel=1e-9)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(seed=st.integers(0, 999), d=st.integers(1, 10))
def test_symmetric_invariant_to_rotation_and_zero_with_itself(seed, d):
    x, y, q = samples(40, d, seed), 2 * samples(30, d, seed + 1) + 0.5, rotation(d, seed)
    a, b = gaussian_statistics(x), gaussian_statistics(y)
    distance = frechet_distance(a, b)
    assert distance > 0
    assert frechet_distance(b, a) == pytest.approx(distance, rel=1e-8)
    turned = frechet_distance(gaussian_statistics(x @ q), gaussian_statistics(y @ q))
    assert turned == pytest.approx(distance, rel=1e-8)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_the_reference_gives_the_same_distance_every_time():
    a, *others = (gaussian_statistics(samples(50, 6, seed) * (seed + 1)) for seed in range(3))
    reference = FrechetReference(a)
    for other in others:
        assert reference.distance(other) == frechet_distance(a, other)


def test_a_singular_reference_has_a_root():
    q = rotation(4, 2)
    a = gaussian([0] * 4, q @ np.diag([0.0, 0.0, 4.0, 9.0]) @ q.T)
    b = gaussian([0] * 4, q @ np.diag([1.0, 0.0, 1.0, 1.0]) @ q.T)
    expected = (0 - 1) ** 2 + 0 + (2 - 1) ** 2 + (3 - 1) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-6)
    assert frechet_distance(b, a) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(seed=st.integers(0, 999), d=st.integers(1, 6))
def test_gaussians_that_share_their_axes_have_a_closed_form(seed, d):
    rng = np.random.default_rng(seed)
    means, deviations = rng.standard_normal((2, d)), rng.uniform(0.1, 3, (2, d))
    q = rotation(d, seed)
    a, b = (
        gaussian(q @ mean, q @ np.diag(deviation**2) @ q.T)
        for mean, deviation in zip(means, deviations, strict=True)
    )
    expected = np.square(means[0] - means[1]).sum() + np.square(deviations[0] - deviations[1]).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_rounding_in_directions_without_samples_does_not_add_up():
    features = samples(5, 400, 0)
    a, b = gaussian_statistics(features), gaussian_statistics(features * 2)
    # Commuting covariances: the roots differ by a factor of two.
    expected = np.square(features.mean(0)).sum() + np.trace(a.covariance)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)


def test_fewer_samples_than_dimensions_give_a_number_and_keep_the_count():
    statistics = gaussian_statistics(samples(5, 20, 0))
    assert statistics.count == 5
    assert frechet_distance(statistics, statistics) == pytest.approx(0, abs=1e-6)


def test_dimensions_must_agree():
    with pytest.raises(ValueError, match="2 and 3"):
        frechet_distance(gaussian([0, 0], np.eye(2)), gaussian([0, 0, 0], np.eye(3)))
