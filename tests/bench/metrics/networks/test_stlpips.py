import sys
from importlib import metadata
from types import ModuleType

import pytest
import torch

from bench.errors import UserError
from bench.metrics.extraction import build_extractors
from bench.metrics.networks.torchvision_shim import prepare_torchvision


def test_without_the_package_the_message_says_how_to_install_it(monkeypatch):
    installed = metadata.version

    def version(name):
        if name == "stlpips-pytorch":
            raise metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(UserError) as error:
        build_extractors(resolution=32, named=["stlpips"], device="cpu")
    assert str(error.value) == (
        "extractor 'stlpips': package stlpips-pytorch is not installed; "
        "pip install adatok-bench[stlpips]"
    )


@pytest.fixture(scope="module")
def network():
    try:
        metadata.version("stlpips-pytorch")
    except metadata.PackageNotFoundError:
        pytest.skip("stlpips-pytorch is not installed")
    _, built = build_extractors(resolution=32, named=["stlpips"], device="cpu")
    assert built.declared.perceptual.title == "ST-LPIPS (AlexNet)"
    return built.network


@pytest.fixture(scope="module")
def by_the_package(network):
    """The package's own code, without the packages that it imports and does not use."""
    prepare_torchvision()
    with pytest.MonkeyPatch.context() as patch:
        for name, attribute in (("IPython", "embed"), ("torchsummary", "summary")):
            stand_in = ModuleType(name)
            setattr(stand_in, attribute, None)
            patch.setitem(sys.modules, name, stand_in)
        from stlpips_pytorch.stlpips import LPIPS

    return LPIPS(net="alex", variant="shift_tolerant", verbose=False)


@pytest.mark.parametrize(("count", "height", "width"), [(3, 40, 40), (1, 256, 256), (2, 33, 70)])
def test_agrees_with_the_package(network, by_the_package, image_pair, count, height, width):
    original, other = image_pair(count, height, width)
    found = network.distances(original, [other, original])
    with torch.no_grad():
        expected = by_the_package(original / 127.5 - 1, other / 127.5 - 1).flatten()
    torch.testing.assert_close(found[:, 0], expected, rtol=1e-4, atol=1e-7)
    assert torch.equal(found[:, 1], torch.zeros(count))
    assert found[:, 0].min() > 0.01


def test_a_shift_counts_less_than_noise(network, image_pair):
    original, noisy = image_pair(4, 64, 64)
    shifted, noise = network.distances(original, [original.roll(1, -1), noisy]).mean(0)
    assert 0 < shifted < noise / 5


def test_images_that_the_network_cannot_take_are_refused(network):
    images = torch.zeros(1, 3, 20, 20, dtype=torch.uint8)
    with pytest.raises(UserError, match="ST-LPIPS needs images of at least 21 px"):
        network.distances(images, [images])
    assert network.distances(images.new_zeros(1, 3, 21, 21), [images.new_zeros(1, 3, 21, 21)]) == 0
