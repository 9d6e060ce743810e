import numpy as np
import pytest

from bench.errors import UserError
from bench.judging.sample_judge import SampleJudge
from bench.metrics.frechet import frechet_distance, gaussian_statistics
from bench.metrics.kernel.distance import KernelReference


@pytest.fixture
def features():
    def features(count, *, seed, shift=0.0):
        rows = np.random.default_rng(seed).normal(size=(count, 6)) + shift
        return {"lite0": rows.astype(np.float32)}

    return features


def test_distances_are_those_of_the_features(features):
    reference, samples = features(60, seed=0), features(40, seed=1, shift=0.5)
    found = SampleJudge(reference).distances(samples)
    expected = frechet_distance(*(gaussian_statistics(f["lite0"]) for f in (reference, samples)))
    assert found["gfd_lite0"] == pytest.approx(expected)
    expected = KernelReference(reference["lite0"]).distance(samples["lite0"])
    assert found["gkd_lite0"] == pytest.approx(expected)


def test_the_interval_is_over_as_many_images_as_both_have(features):
    judge = SampleJudge(features(60, seed=0), kid_subset=8)
    assert judge.estimators(40)["kid_interval"]["images_per_block"] == 8
    near, far = features(40, seed=1), features(40, seed=1, shift=1.0)
    found = judge.intervals(near)
    assert found["gkd_lite0_low"] < 0 < found["gkd_lite0_high"]
    assert judge.intervals(far)["gkd_lite0_low"] > found["gkd_lite0_high"]
    assert SampleJudge(features(60, seed=0)).estimators(40)["kid_interval"][
        "images_per_block"
    ] == 4  # fmt: skip


def test_scores_need_the_last_layer_of_inception(features):
    inception = {"inception": features(20, seed=0)["lite0"]}
    with pytest.raises(UserError, match=r"bank\.inception_weights: missing"):
        SampleJudge(inception).scores(inception)
