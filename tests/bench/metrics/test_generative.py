import numpy as np
import pytest

from bench.metrics.generative import inception_score, precision_recall


def test_certain_and_balanced_classes_score_their_number():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(4), 2500))
    assert inception_score(50 * np.eye(4)[labels]) == pytest.approx(4, rel=0.01)


def test_posteriors_that_ignore_the_image_score_one():
    assert inception_score(np.tile([1.0, 2.0, 0.5], (50, 1))) == pytest.approx(1)


def test_a_set_lies_within_itself_and_not_within_one_far_away():
    features = np.random.default_rng(0).standard_normal((40, 3))
    assert precision_recall(features, features) == (1, 1)
    assert precision_recall(features, features + 100) == (0, 0)


def test_precision_is_of_the_first_set_and_recall_of_the_second():
    """Two clusters, of which the first set has one: precise, but half is missing."""
    rng = np.random.default_rng(1)
    one = rng.standard_normal((60, 2))
    both = np.concatenate([one + 0.01, rng.standard_normal((60, 2)) + 50])
    precision, recall = precision_recall(one, both)
    assert precision > 0.9
    assert 0.4 < recall <= 0.5
    assert precision_recall(both, one) == (recall, precision)


def test_sets_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="at least 10 images, not 9"):
        inception_score(np.zeros((9, 3)))
    with pytest.raises(ValueError, match="at least 4 images, not 3"):
        precision_recall(np.zeros((9, 3)), np.zeros((3, 3)))
