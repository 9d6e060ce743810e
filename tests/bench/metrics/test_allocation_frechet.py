import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics.allocation_frechet import AllocationFrechet
from bench.metrics.frechet import FrechetReference, frechet_distance, gaussian_statistics

N, M, D = 60, 3, 4


def bank(seed, n=N, m=M, d=D):
    """Features `[n, m, d]` that come nearer to the originals `[n, d]` with the budget."""
    rng = np.random.default_rng(seed)
    originals = rng.standard_normal((n, d)) + 3
    noise = rng.standard_normal((n, m, d)) / np.arange(1, m + 1)[:, None]
    return (originals[:, None] + noise).astype(np.float32), originals.astype(np.float32)


def directly(features, originals, chosen):
    selected = features[np.arange(len(chosen)), chosen]
    return frechet_distance(gaussian_statistics(originals), gaussian_statistics(selected))


class Reading:
    """Counts the rows that are read."""

    def __init__(self, features):
        self.features = features
        self.rows = 0

    def __getitem__(self, index):
        self.rows += len(index[0])
        return self.features[index]

    def take(self):
        rows, self.rows = self.rows, 0
        return rows


def distances(features, originals, **settings):
    reference = FrechetReference(gaussian_statistics(originals))
    return AllocationFrechet(lambda: features, reference, **settings)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    seed=st.integers(0, 999),
    changes=st.lists(st.integers(0, N), min_size=1, max_size=12),
    kept=st.integers(1, 4),
    block=st.integers(1, 70),
    most_updates=st.integers(0, 5),
)
def test_any_sequence_of_allocations_agrees_with_direct_sums(
    seed, changes, kept, block, most_updates
):
    features, originals = bank(seed)
    many = distances(features, originals, kept=kept, block=block, most_updates=most_updates)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(M, size=N)
    for count in changes:
        images = rng.choice(N, count, replace=False)
        chosen[images] = rng.integers(M, size=count)  # in place: a kept allocation must not change
        expected = directly(features, originals, chosen)
        assert many.distance(chosen) == pytest.approx(expected, rel=1e-6)


def test_rounding_does_not_pile_up_over_many_updates():
    features, originals = bank(0)
    many = distances(features + 1000, originals + 1000)
    rng = np.random.default_rng(0)
    chosen = rng.integers(M, size=N)
    for _ in range(500):
        chosen[rng.integers(N)] = rng.integers(M)
        value = many.distance(chosen)
    assert value == pytest.approx(directly(features + 1000, originals + 1000, chosen), rel=1e-6)


def test_only_images_that_changed_are_read_and_the_nearest_is_found():
    features, originals = bank(1)
    reading = Reading(features)
    many = distances(reading, originals, kept=2)
    low, high = np.zeros(N, int), np.full(N, 2)
    many.distance(low)
    assert reading.take() == N
    many.distance(high)
    assert reading.take() == N  # changing all of them would read 2 N
    near_low = low.copy()
    near_low[:5] = 1
    many.distance(near_low)
    assert reading.take() == 10
    many.distance(near_low)
    assert reading.take() == 0
    many.distance(low)  # no longer kept, but `near_low` is
    assert reading.take() == 10
    many.distance(high)
    assert reading.take() == N


def test_sums_are_made_anew_after_so_many_updates():
    features, originals = bank(2)
    reading = Reading(features)
    many = distances(reading, originals, most_updates=2)
    chosen = np.zeros(N, int)
    read = []
    for image in range(5):
        chosen[image] = 1
        many.distance(chosen)
        read.append(reading.take())
    assert read == [N, 2, 2, N, 2]


def test_a_bad_row_is_refused_and_leaves_nothing_behind():
    features, originals = bank(3)
    features[7, 1] = np.nan
    many = distances(features, originals)
    chosen = np.zeros(N, int)
    before = many.distance(chosen)
    bad = chosen.copy()
    bad[7] = 1
    with pytest.raises(ValueError, match="not finite"):
        many.distance(bad)
    assert many.distance(chosen) == before
    chosen[3] = 2
    assert many.distance(chosen) == pytest.approx(directly(features, originals, chosen), rel=1e-9)


def test_fewer_images_than_dimensions():
    features, originals = bank(4, n=12, d=40)
    many = distances(features, originals)
    rng = np.random.default_rng(0)
    chosen = rng.integers(M, size=12)
    for _ in range(5):
        chosen[rng.integers(12)] = rng.integers(M)
        expected = directly(features, originals, chosen)
        assert many.distance(chosen) == pytest.approx(expected, rel=1e-6)


def test_one_image_is_refused():
    features, originals = bank(5)
    with pytest.raises(ValueError, match="at least 2"):
        distances(features[:1], originals).distance(np.zeros(1, int))
