import pytest
import torch

from bench.errors import UserError
from bench.metrics.extraction import build_extractors
from bench.metrics.networks.lite import weights_sha256
from bench.metrics.weight_files import WeightFile

torch.manual_seed(0)
ORIGINAL = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
DECODED = [ORIGINAL, ORIGINAL.flip(-1), 255 - ORIGINAL]


def test_lite0_gives_features_and_perceptual_distances():
    (extractor,) = build_extractors(resolution=48, device="cpu")
    assert extractor.name == "lite0"
    assert extractor.card == {
        "weights_sha256": weights_sha256(),
        "layer": "pooled 1280",
        "input_px": 48,
    }
    with torch.inference_mode():
        features, distances = extractor.compare(ORIGINAL, DECODED)
    assert [f.shape for f in features] == [(2, 1280)] * 4
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2])
    assert distances.shape == (2, 3)
    assert distances[:, 0].abs().max() < 1e-5
    assert distances[:, 1:].min() > 0.01


def test_the_resolution_is_of_effect():
    features = []
    for resolution in (32, 64):
        (lite0,) = build_extractors(resolution=resolution, device="cpu")
        with torch.inference_mode():
            features.append(lite0.compare(ORIGINAL, DECODED[:1])[0][0])
    assert not torch.allclose(*features)


def test_lite1_gives_other_features_and_no_distances():
    lite0, lite1 = build_extractors(resolution=32, device="cpu", second=True)
    assert (lite0.name, lite1.name) == ("lite0", "lite1")
    assert lite1.card == {**lite0.card, "weights_sha256": weights_sha256("lite1")} != lite0.card
    with torch.inference_mode():
        first, _ = lite0.compare(ORIGINAL, DECODED)
        features, distances = lite1.compare(ORIGINAL, DECODED)
    assert distances is None
    assert [f.shape for f in features] == [(2, 1280)] * 4
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2])
    assert not torch.allclose(features[0], first[0])


def test_inception_gives_features_only(inception_file):
    lite0, inception = build_extractors(resolution=32, weights=inception_file, device="cpu")
    assert (lite0.name, inception.name) == ("lite0", "inception")
    assert (inception.card["layer"], inception.card["input_px"]) == ("pooled 2048", 299)
    original, inverse = ORIGINAL[:1], DECODED[2][:1]
    features, distances = inception.compare(original, [original, inverse])
    assert [f.shape for f in features] == [(1, 2048)] * 3
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2])
    assert distances is None


def test_a_weight_file_with_another_hash_is_refused(inception_weights):
    given = {"inception": WeightFile(str(inception_weights), "6726825d")}
    with pytest.raises(UserError, match="begins with"):
        build_extractors(resolution=32, weights=given, device="cpu")


def test_a_missing_weight_file_is_named():
    given = {"inception": WeightFile("/nowhere.pth", "6726825d")}
    with pytest.raises(UserError, match=r"/nowhere\.pth"):
        build_extractors(resolution=32, weights=given, device="cpu")


def test_a_network_without_its_weight_file_says_which_it_is():
    with pytest.raises(UserError) as error:
        build_extractors(resolution=32, named=["dinov2"], device="cpu")
    assert str(error.value) == (
        "bank.weights.dinov2: missing; give the path of dinov2_vitl14_pretrain.pth (SHA-256 "
        "d5383ea8...) from "
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth"
    )


def test_lpips_gives_distances_only(lpips_files):
    _, lpips = build_extractors(resolution=32, named=["lpips"], weights=lpips_files, device="cpu")
    features, distances = lpips.compare(ORIGINAL, DECODED)
    assert features == []
    assert distances.shape == (2, 3)
    assert distances[:, 0].abs().max() == 0
    assert distances[:, 1:].min() > 0.01


def test_features_alone_are_those_of_a_comparison():
    for extractor in build_extractors(resolution=32, device="cpu", second=True):
        (compared, *_), _ = extractor.compare(ORIGINAL, DECODED)
        assert torch.equal(extractor.features(ORIGINAL), compared)
