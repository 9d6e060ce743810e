"""Distances from bank-style feature arrays agree with torch-fidelity's own calculate_metrics."""

import pytest
import torch
from torch.utils.data import Dataset

from bench.metrics.frechet import frechet_distance, gaussian_statistics
from bench.metrics.generative import inception_score, precision_recall
from bench.metrics.kernel.distance import KernelReference
from bench.metrics.networks.lite import POOLED_DIM, Lite0, lite_logits
from bench.metrics.networks.torchvision_shim import prepare_torchvision

RESOLUTION = 32
COUNT = 1400  # more than the feature dimension, or both covariances are singular


class Images(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


@pytest.fixture(scope="module")
def pair():
    """Smooth random images and the same with noise, uint8 `[COUNT, 3, 32, 32]`."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(COUNT, 3, 6, 6, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear")
    noise = torch.randn(smooth.shape, generator=generator) * 25
    return smooth.to(torch.uint8), (smooth + noise).clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def by_torch_fidelity(pair):
    prepare_torchvision()
    from torch_fidelity import calculate_metrics, register_feature_extractor
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    class RegisteredLite0(FeatureExtractorBase):
        def __init__(self, name, features_list, **kwargs):
            super().__init__(name, features_list)
            self.network = Lite0(RESOLUTION)

        @staticmethod
        def get_provided_features_list():
            return (str(POOLED_DIM), "logits")

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "logits" if metric == "isc" else str(POOLED_DIM)

        @staticmethod
        def can_be_compiled():
            return False

        def forward(self, images):
            pooled = self.network.forward_features(images)[0]
            layers = {
                str(POOLED_DIM): pooled,
                "logits": torch.from_numpy(lite_logits("lite0", pooled.numpy())),
            }
            return tuple(layers[name] for name in self.features_list)

    register_feature_extractor("lite0-agreement-test", RegisteredLite0)
    return calculate_metrics(
        input1=Images(pair[0]),
        input2=Images(pair[1]),
        feature_extractor="lite0-agreement-test",
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        kid_subsets=1,
        kid_subset_size=COUNT,
        cuda=False,
        save_cpu_ram=True,
        verbose=False,
        cache=False,
    )


@pytest.fixture(scope="module")
def features(pair):
    network = Lite0(RESOLUTION)
    return [network.forward_features(images)[0].numpy() for images in pair]


def test_frechet_distance_agrees(features, by_torch_fidelity):
    value = frechet_distance(*map(gaussian_statistics, features))
    assert value == pytest.approx(by_torch_fidelity["frechet_inception_distance"], rel=1e-3)


def test_kernel_distance_agrees(features, by_torch_fidelity):
    value = KernelReference(features[0]).distance(features[1])
    expected = by_torch_fidelity["kernel_inception_distance_mean"]
    assert value == pytest.approx(expected, rel=1e-3)


def test_the_inception_score_agrees(features, by_torch_fidelity):
    value = inception_score(lite_logits("lite0", features[0]))
    assert value == pytest.approx(by_torch_fidelity["inception_score_mean"], rel=1e-4)
    assert value > 1.03


def test_precision_and_recall_agree(features, by_torch_fidelity):
    precision, recall = precision_recall(*features)
    assert precision == pytest.approx(by_torch_fidelity["precision"], abs=2 / COUNT)
    assert recall == pytest.approx(by_torch_fidelity["recall"], abs=2 / COUNT)
    assert precision != recall
