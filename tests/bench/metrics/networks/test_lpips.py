from types import SimpleNamespace

import pytest
import torch

from bench.errors import UserError
from bench.metrics.extractor import NetworkSettings
from bench.metrics.networks import weighted_distance
from bench.metrics.networks.files import INCEPTION, LPIPS, VGG16
from bench.metrics.networks.lpips import Lpips, lpips, vgg16_features
from bench.metrics.networks.torchvision_shim import prepare_torchvision
from bench.metrics.weight_files import WeightFile


@pytest.fixture(scope="module")
def network(lpips_files):
    return lpips(NetworkSettings(resolution=32, weights=lpips_files))


@pytest.fixture(scope="module")
def by_torch_fidelity(lpips_files):
    """torch-fidelity's own LPIPS, with our files in place of its downloads."""
    prepare_torchvision()
    from torch_fidelity import sample_similarity_lpips as module
    from torchvision.models import vgg

    trunk = torch.load(lpips_files["vgg16"].path, weights_only=True)
    features = vgg.make_layers(vgg.cfgs["D"])
    features.load_state_dict(
        {name[9:]: value for name, value in trunk.items() if name.startswith("features.")}
    )
    weights = torch.load(lpips_files["lpips"].path, weights_only=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *args, **kwargs: weights)
        patch.setattr(
            module, "torchvision_load_pretrained_vgg16", lambda: SimpleNamespace(features=features)
        )
        return module.SampleSimilarityLPIPS("lpips-vgg16")


@pytest.mark.parametrize(("count", "height", "width"), [(3, 40, 40), (1, 256, 256), (2, 33, 70)])
def test_agrees_with_torch_fidelity(network, by_torch_fidelity, image_pair, count, height, width):
    original, other = image_pair(count, height, width)
    found = network.distances(original, [other, original])
    assert found.shape == (count, 2)
    assert found.dtype == torch.float32
    expected = by_torch_fidelity(original, other).flatten()
    torch.testing.assert_close(found[:, 0], expected, rtol=1e-4, atol=1e-7)
    assert torch.equal(found[:, 1], torch.zeros(count))
    assert found[:, 0].min() > 0.01


def test_the_loss_is_the_distance_and_its_gradient_leads_to_less(network, image_pair):
    original, other = image_pair(2, 32, 32)
    decoded = (other / 255).requires_grad_()
    loss = network.loss(decoded, original / 255)
    torch.testing.assert_close(loss, network.distances(original, [other])[:, 0])
    loss.sum().backward()
    nearer = decoded - 1e-3 * decoded.grad / decoded.grad.square().mean().sqrt()
    assert (network.loss(nearer, original / 255) < loss).all()
    assert not any(weight.requires_grad for weight in network.parameters())


def test_values_do_not_depend_on_the_batch(network, image_pair, monkeypatch):
    original, other = image_pair(5, 32, 32)
    whole = network.distances(original, [other])
    monkeypatch.setattr(weighted_distance, "CHUNK_PIXELS", 2 * 32 * 32)
    torch.testing.assert_close(network.distances(original, [other]), whole, rtol=1e-4, atol=0)


def test_both_files_are_of_effect_and_part_of_the_protocol(network, lpips_files, tmp_path):
    weights = torch.load(lpips_files["lpips"].path, weights_only=True)
    torch.save({name: 2 * value for name, value in weights.items()}, tmp_path / "twice.pth")
    twice = Lpips({**lpips_files, "lpips": WeightFile(str(tmp_path / "twice.pth"), "")})
    images = torch.arange(2 * 3 * 32 * 32).reshape(2, 3, 32, 32).to(torch.uint8)
    ours, doubled = (one.distances(images, [255 - images]) for one in (network, twice))
    torch.testing.assert_close(doubled, 2 * ours)
    assert network.card["weights_sha256"] == {
        name: file.sha256 for name, file in lpips_files.items()
    }
    assert network.card != twice.card


def test_images_that_the_network_cannot_take_are_refused(network):
    images = torch.zeros(1, 3, 15, 40, dtype=torch.uint8)
    with pytest.raises(UserError, match="LPIPS needs images of at least 16 px, not 15 x 40"):
        network.distances(images, [images])
    assert network.distances(images.new_zeros(1, 3, 16, 16), [images.new_zeros(1, 3, 16, 16)]) == 0


@pytest.mark.parametrize("wrong", ["vgg16", "lpips"])
def test_each_file_must_be_its_own(lpips_files, wrong):
    other = {"vgg16": "lpips", "lpips": "vgg16"}[wrong]
    files = {**lpips_files, wrong: lpips_files[other]}
    with pytest.raises(UserError, match=rf"bank\.weights\.{wrong}: .*{other}\.pth is not a weight"):
        Lpips(files)


def test_the_network_is_the_one_that_torchvision_has():
    prepare_torchvision()
    from torchvision.models import vgg

    with torch.device("meta"):
        theirs = vgg.make_layers(vgg.cfgs["D"])
    assert [*map(str, vgg16_features())] == [
        str(one).replace("inplace=True", "") for one in theirs[:30]
    ]


def test_files_are_where_torch_fidelity_takes_them_from():
    prepare_torchvision()
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    from torch_fidelity.sample_similarity_lpips import URL_VGG16_LPIPS
    from torchvision.models import VGG16_Weights

    assert LPIPS.source == URL_VGG16_LPIPS
    assert INCEPTION.source == URL_INCEPTION_V3
    assert VGG16_Weights.IMAGENET1K_V1.url == VGG16.source
