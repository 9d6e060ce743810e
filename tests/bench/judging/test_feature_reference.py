import numpy as np
import pytest

from bench.errors import UserError
from bench.judging.feature_reference import FeatureReference, estimators
from bench.metrics.extractors import EXTRACTORS, Extractor
from bench.metrics.feature_metrics import reconstruction_metrics, sample_metrics
from bench.metrics.generative import precision_recall
from bench.metrics.kernel.distance import KernelReference
from bench.metrics.kernel.interval import kernel_interval

# A network that tells no classes.
PLAIN = Extractor(
    name="plain",
    network="nowhere:plain",
    reconstructions=reconstruction_metrics("plain", "Plain"),
    samples=sample_metrics("plain", "Plain"),
)


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(2, 60, 6)).astype(np.float32)


@pytest.fixture
def reference(features):
    return FeatureReference(features[0], extractor=PLAIN, metrics=PLAIN.reconstructions)


def test_values_go_by_the_names_of_the_metrics(reference, features):
    original, other = features
    assert reference.kernel_distance(other) == {
        "kid_plain": KernelReference(original).distance(other)
    }
    interval = kernel_interval(original, other)
    assert reference.kernel_ends(other) == {
        "kid_plain_low": interval.low,
        "kid_plain_high": interval.high,
    }
    assert set(reference.infinite(other)) == {"fd_plain_infinite", "fd_plain_infinite_se"}
    assert reference.infinite(other[:12]) == {}  # too few for six dimensions


def test_an_interval_is_over_as_many_images_as_both_have(reference, features):
    original, other = features
    interval = kernel_interval(original[:40], other[:40])
    assert reference.kernel_ends(other[:40])["kid_plain_low"] == interval.low


def test_without_classes_there_is_no_inception_score(reference, features):
    precision, recall = precision_recall(features[1], features[0])
    assert reference.scores(features[1]) == {
        "precision_plain": precision,
        "recall_plain": recall,
    }


def test_inceptions_score_needs_its_file(features):
    inception = EXTRACTORS["inception"]
    reference = FeatureReference(features[0], extractor=inception, metrics=inception.samples)
    with pytest.raises(UserError, match=r"bank\.inception_weights: missing"):
        reference.scores(features[1])


def test_estimators_of_samples_extrapolate_nothing():
    assert list(estimators(40)) == ["kid_interval", "inception_score", "precision_recall"]
    assert list(estimators(40, infinite={})) == [
        "kid_interval", "infinite", "inception_score", "precision_recall",
    ]  # fmt: skip
