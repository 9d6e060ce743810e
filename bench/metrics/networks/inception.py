"""torch-fidelity's InceptionV3 features, the network of FID, from a weight file the user has."""

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.errors import UserError
from bench.metrics.extractors import NetworkSettings, WeightFile
from bench.metrics.networks.torchvision_shim import prepare_torchvision

POOLED_DIM = 2048
SHA256_PREFIX = "6726825d"
_HELP = "give torch-fidelity's weights-inception-2015-12-05-6726825d.pth"


class InceptionExtractor(nn.Module):
    """The 2048 pooled features of the 2015 Inception network; never downloads.

    Args:
        weights_path: a state dict in torch-fidelity's format.
        sha256: how the file's SHA-256 (hex) must begin.

    Raises:
        UserError: the file is missing, unreadable, has another hash, or is not such a state dict.
    """

    def __init__(self, weights_path: str | Path, *, sha256: str = SHA256_PREFIX):
        super().__init__()
        weights = _read(Path(weights_path))
        self.weights_sha256 = hashlib.sha256(weights).hexdigest()
        require_hash(weights_path, self.weights_sha256, sha256)
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

    @property
    def card(self) -> dict[str, Any]:
        """Its part of the protocol."""
        return {
            "weights_sha256": self.weights_sha256,
            "layer": f"pooled {POOLED_DIM}",
            "input_px": 299,
        }

    @torch.no_grad()
    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Pooled features `[B, 2048]` float32 of uint8 images `[B, 3, H, W]`, resized to 299 px."""
        pooled: torch.Tensor = self._network(images)[0]
        return pooled


def require_hash(path: str | Path, sha256: str, prefix: str) -> None:
    """Refuse weights whose SHA-256 does not begin as it should: their distances are not rFID.

    Raises:
        UserError: it does not.
    """
    if not sha256.startswith(prefix):
        raise UserError(
            f"the SHA-256 of {path} begins with {sha256[:8]}, not {prefix}; {_HELP}, or set "
            "bank.inception_sha256"
        )


def inception(settings: NetworkSettings) -> InceptionExtractor:
    """Make the network of the weight file.

    Raises:
        UserError: there is no file, or it is not Inception's.
    """
    weights = _require(settings.weights)
    return InceptionExtractor(weights.path, sha256=weights.sha256)


def inception_logits(pooled: np.ndarray, weights: WeightFile | None) -> np.ndarray:
    """Logits without bias `[n, 1008]` of pooled features `[n, 2048]`, by the file's last layer.

    The inception score is defined on these.

    Raises:
        UserError: the file is missing, unreadable or has another hash.
    """
    weights = _require(weights)
    content = _read(Path(weights.path))
    require_hash(weights.path, hashlib.sha256(content).hexdigest(), weights.sha256)
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    logits: np.ndarray = pooled @ state["fc.weight"].float().numpy().T
    return logits


def _require(weights: WeightFile | None) -> WeightFile:
    if weights is None:
        raise UserError(
            "bank.inception_weights: missing, the inception score needs the last layer; give the "
            "file that the bank's features were made with"
        )
    return weights


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
