import hashlib
import pickle

import numpy as np
import pytest
import torch

from bench.errors import UserError
from bench.metrics.networks.files import INCEPTION
from bench.metrics.networks.inception import POOLED_DIM, InceptionExtractor, inception_logits
from bench.metrics.networks.torchvision_shim import prepare_torchvision
from bench.metrics.weight_files import WeightFile


@pytest.fixture(scope="module")
def network():
    """torch-fidelity's network with its random initial weights."""
    prepare_torchvision()
    from torch_fidelity import feature_extractor_inceptionv3 as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *args, **kwargs: None)
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *args: None)
        torch.manual_seed(0)
        return module.FeatureExtractorInceptionV3("random", ["2048"], verbose=False)


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path


def test_gives_the_features_of_the_file(network, weights):
    extractor = InceptionExtractor(WeightFile(str(weights), ""))
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=generator)
    features = extractor.features(images)
    assert features.shape == (2, POOLED_DIM)
    assert features.dtype == torch.float32
    assert features.std() > 0
    assert torch.equal(features, network(images)[0])
    assert extractor.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_logits_are_those_the_inception_score_is_defined_on(network, weights):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=generator)
    pooled = network(images)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "features_list", ["logits_unbiased"])
        (expected,) = network(images)
    logits = inception_logits(pooled.numpy(), {"inception": WeightFile(str(weights), "")})
    torch.testing.assert_close(torch.from_numpy(logits), expected)


def test_weights_with_another_hash_are_refused(weights):
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    expected = rf"weights\.pth begins with {sha256[:8]}, not 6726825d; .*bank\.inception_sha256"
    published = WeightFile(str(weights), INCEPTION.sha256)
    with pytest.raises(UserError, match=expected) as error:
        InceptionExtractor(published)
    assert "\n" not in str(error.value)
    pooled = np.zeros((1, POOLED_DIM), np.float32)
    with pytest.raises(UserError, match=expected):
        inception_logits(pooled, {"inception": published})
    assert InceptionExtractor(WeightFile(str(weights), sha256[:8])).weights_sha256 == sha256


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.pth: No such file.*weights-inception"):
        InceptionExtractor(WeightFile(str(tmp_path / "nowhere.pth"), ""))


class Malicious:
    def __reduce__(self):
        return (pytest.fail, ("the file was unpickled",))


def test_a_file_is_never_unpickled(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"fc.weight": Malicious()}, path)
    with pytest.raises(UserError, match=r"evil\.pth is not a weight file"):
        InceptionExtractor(WeightFile(str(path), ""))


@pytest.mark.parametrize(
    "content", [b"", b"no weights", pickle.dumps(3, 2)], ids=["empty", "text", "pickle"]
)
def test_an_unreadable_file_is_refused(tmp_path, content):
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.pth is not a weight file"):
        InceptionExtractor(WeightFile(str(path), ""))


@pytest.mark.parametrize("state", [{"fc.bias": torch.zeros(1008)}, [torch.zeros(2)]])
def test_weights_of_another_network_are_refused(tmp_path, state):
    path = tmp_path / "other.pth"
    torch.save(state, path)
    with pytest.raises(UserError, match=r"other\.pth is not a weight file"):
        InceptionExtractor(WeightFile(str(path), ""))
