import numpy as np
import pytest

from bench.data.stratified import stratified


def counts_of(labels, rows):
    return np.bincount(labels[rows], minlength=labels.max() + 1)


@pytest.fixture
def labels():
    """A tenth of ImageNet: 1,000 classes of 73 to 130 images, sorted."""
    sizes = np.random.default_rng(0).integers(73, 131, 1000)
    return np.repeat(np.arange(1000), sizes)


def test_every_class_has_its_share_and_so_has_every_beginning(labels):
    rows = stratified(labels, 5000, seed=0)
    assert len(np.unique(rows)) == 5000
    shares = np.bincount(labels) / len(labels)
    found = counts_of(labels, rows)
    assert found.min() > 0
    assert np.abs(found - 5000 * shares).max() < 1
    for first in (1024, 2500):
        found = counts_of(labels, rows[:first])
        assert np.abs(found - first * shares).max() < 1.5
    assert np.all(np.bincount(stratified(labels, len(labels), seed=1)) == 1)


def test_the_seed_draws_which(labels):
    rows = [stratified(labels, 1000, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert len({*rows[0]} & {*rows[2]}) < 100


def test_classes_that_would_have_none_come_first():
    labels = np.array([0] * 30 + [1])  # Shares of 9.7 and 0.3 images.
    assert counts_of(labels, stratified(labels, 10, seed=0)).tolist() == [9, 1]


def test_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match="4 images of 3"):
        stratified(np.zeros(3, int), 4, seed=0)
