import pytest
import torch

from bench.metrics.torchvision_shim import prepare_torchvision


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory):
    """A weight file of torch-fidelity's Inception with random weights."""
    prepare_torchvision()
    from torch_fidelity import feature_extractor_inceptionv3 as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *args, **kwargs: None)
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *args: None)
        torch.manual_seed(0)
        network = module.FeatureExtractorInceptionV3("random", ["2048"], verbose=False)
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path
