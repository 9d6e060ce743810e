"""torch-fidelity's InceptionV3 features, the network of FID, from a weight file the user has."""

import hashlib
import io
import pickle
from pathlib import Path

import torch
from torch import nn

from bench.errors import UserError
from bench.metrics.torchvision_shim import prepare_torchvision

POOLED_DIM = 2048
_HELP = "give torch-fidelity's weights-inception-2015-12-05-6726825d.pth"


class InceptionExtractor(nn.Module):
    """The 2048 pooled features of the 2015 Inception network; never downloads.

    Args:
        weights_path: a state dict in torch-fidelity's format.

    Raises:
        UserError: the file is missing, unreadable, or not such a state dict.
    """

    def __init__(self, weights_path: str | Path):
        super().__init__()
        weights = _read(Path(weights_path))
        self.weights_sha256 = hashlib.sha256(weights).hexdigest()
        prepare_torchvision()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        try:
            self._network = FeatureExtractorInceptionV3(
                "inception-v3-compat",
                [str(POOLED_DIM)],
                feature_extractor_weights_path=_tensors_only(weights),
            )
        except (pickle.UnpicklingError, RuntimeError, EOFError, TypeError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"{weights_path} is not a weight file of Inception ({reason}); {_HELP}"
            ) from error

    @torch.no_grad()
    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Pooled features `[B, 2048]` float32 of uint8 images `[B, 3, H, W]`, resized to 299 px."""
        return self._network(images)[0]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read Inception weights {path}: {error.strerror}; {_HELP}"
        ) from error


def _tensors_only(weights: bytes) -> io.BytesIO:
    """The same state dict, read without unpickling objects and written anew.

    torch-fidelity unpickles whatever file it is given, so it is given this copy.
    """
    state = torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True)
    copy = io.BytesIO()
    torch.save(state, copy)
    copy.seek(0)
    return copy
