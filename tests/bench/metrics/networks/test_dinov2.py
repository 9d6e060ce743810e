import pytest
import torch
from torch.utils.data import Dataset

from bench.errors import UserError
from bench.files import file_sha256
from bench.metrics.extractor import NetworkSettings
from bench.metrics.frechet import frechet_distance, gaussian_statistics
from bench.metrics.kernel.distance import KernelReference
from bench.metrics.networks.dinov2 import (
    LARGE,
    SMALL,
    Dinov2,
    Shape,
    VisionTransformer,
    large,
    small,
)
from bench.metrics.networks.files import DINOV2, DINOV2_SMALL
from bench.metrics.networks.torchvision_shim import prepare_torchvision
from bench.metrics.weight_files import WeightFile

TINY = Shape(width=24, depth=2, heads=3)
COUNT = 40  # more than the feature dimension, or both covariances are singular


def names_and_shapes(shape, grid=37):
    """What a file of Meta's holds for a network of this shape, in its order."""
    width = shape.width
    yield from {
        "cls_token": (1, 1, width),
        "pos_embed": (1, grid**2 + 1, width),
        "mask_token": (1, width),
        "patch_embed.proj.weight": (width, 3, 14, 14),
        "patch_embed.proj.bias": (width,),
    }.items()
    for index in range(shape.depth):
        for name, of in {
            "norm1.weight": (width,),
            "norm1.bias": (width,),
            "attn.qkv.weight": (3 * width, width),
            "attn.qkv.bias": (3 * width,),
            "attn.proj.weight": (width, width),
            "attn.proj.bias": (width,),
            "ls1.gamma": (width,),
            "norm2.weight": (width,),
            "norm2.bias": (width,),
            "mlp.fc1.weight": (4 * width, width),
            "mlp.fc1.bias": (4 * width,),
            "mlp.fc2.weight": (width, 4 * width),
            "mlp.fc2.bias": (width,),
            "ls2.gamma": (width,),
        }.items():
            yield f"blocks.{index}.{name}", of
    yield from {"norm.weight": (width,), "norm.bias": (width,)}.items()


def random_state(shape):
    generator = torch.Generator().manual_seed(0)

    def value(name, of):
        drawn = torch.randn(of, generator=generator)
        scale = "gamma" in name or ("norm" in name and name.endswith("weight"))
        return 1 + 0.3 * drawn if scale else 0.08 * drawn

    return {name: value(name, of) for name, of in names_and_shapes(shape)}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("dinov2") / "tiny.pth"
    torch.save(random_state(TINY), path)
    return WeightFile(str(path), file_sha256(path))


@pytest.fixture(scope="module")
def network(file):
    return Dinov2(DINOV2, file, TINY)


def test_class_tokens_are_those_of_metas_own_code():
    """Expected values are from facebookresearch/dinov2 at b8931f7, with these weights."""
    images = torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = VisionTransformer(random_state(TINY), TINY)(images)
    expected = [
        [1.0035505294799805, -0.5000243782997131, 0.5861107110977173],
        [1.027660846710205, -0.5231590270996094, 0.6011601090431213],
        [0.983875036239624, -0.4653984606266022, 0.5953216552734375],
    ]
    torch.testing.assert_close(found[:, :3], torch.tensor(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "parameters"), [(SMALL, 22_056_576), (LARGE, 304_368_640)], ids=["small", "large"]
)
def test_shapes_are_those_that_meta_publishes(shape, parameters):
    sizes = [torch.Size(of).numel() for _, of in names_and_shapes(shape)]
    assert sum(sizes) == parameters


class Images(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


def test_distances_are_those_of_torch_fidelity(network, image_pair):
    """Its own DINOv2, whose network comes from torch's hub: the one of the file is put there."""
    prepare_torchvision()
    from torch_fidelity import calculate_metrics

    pair = image_pair(COUNT, 40, 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.hub, "load", lambda *args, **kwargs: network.network)
        patch.setenv("XFORMERS_DISABLED", "1")
        expected = calculate_metrics(
            input1=Images(pair[0]),
            input2=Images(pair[1]),
            feature_extractor="dinov2-vit-l-14",
            fid=True,
            kid=True,
            kid_subsets=1,
            kid_subset_size=COUNT,
            cuda=False,
            save_cpu_ram=True,
            verbose=False,
            cache=False,
        )
    features = [network.features(images).numpy() for images in pair]
    found = frechet_distance(*map(gaussian_statistics, features))
    assert found == pytest.approx(expected["frechet_inception_distance"], rel=1e-3)
    found = KernelReference(features[0]).distance(features[1])
    assert found == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-3)


@pytest.mark.parametrize(("count", "height", "width"), [(3, 40, 40), (1, 256, 256), (18, 33, 70)])
def test_any_size_is_resized_as_torch_fidelity_does(network, image_pair, count, height, width):
    prepare_torchvision()
    from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

    images, _ = image_pair(count, height, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.hub, "load", lambda *args, **kwargs: network.network)
        patch.setenv("XFORMERS_DISABLED", "1")
        theirs = FeatureExtractorDinoV2("dinov2-vit-s-14", ["dinov2"])
    found = network.features(images)
    assert found.shape == (count, TINY.width)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, theirs(images)[0], rtol=1e-4, atol=1e-5)


def test_the_card_tells_file_and_input(network, file):
    assert network.card == {
        "weights_sha256": file.sha256,
        "layer": "class token behind the last norm",
        "input_px": 224,
        "resize": "bilinear, as TensorFlow 1",
    }


@pytest.mark.parametrize(("make", "declared"), [(small, DINOV2_SMALL), (large, DINOV2)])
def test_a_network_of_another_size_is_refused(file, make, declared):
    settings = NetworkSettings(resolution=32, weights={declared.name: file})
    with pytest.raises(UserError, match=r"tiny\.pth is not a weight file of this network") as error:
        make(settings)
    assert declared.source in str(error.value)


def test_weights_that_the_network_has_no_place_for_are_refused(tmp_path):
    path = tmp_path / "registers.pth"
    torch.save(random_state(TINY) | {"register_tokens": torch.zeros(1, 4, 24)}, path)
    with pytest.raises(UserError, match=r"registers\.pth is not .*it has register_tokens too"):
        Dinov2(DINOV2, WeightFile(str(path), ""), TINY)


def test_the_published_file_is_asked_for(file):
    other = WeightFile(file.path, DINOV2.sha256)
    with pytest.raises(UserError, match=r"begins with .*, not d5383ea8; give dinov2_vitl14"):
        Dinov2(DINOV2, other, TINY)
