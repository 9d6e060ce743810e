"""torch-fidelity's InceptionV3 features, the network of FID, from a weight file the user has."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.metrics.extractor import NetworkSettings
from bench.metrics.networks.files import INCEPTION
from bench.metrics.networks.state import read_state, reading
from bench.metrics.networks.torchvision_shim import prepare_torchvision
from bench.metrics.weight_files import WeightFile, require_weights

POOLED_DIM = 2048


class InceptionExtractor(nn.Module):
    """The 2048 pooled features of the 2015 Inception network; never downloads.

    Args:
        given: a state dict in torch-fidelity's format.

    Raises:
        UserError: the file is missing, unreadable, has another hash, or is not such a state dict.
    """

    def __init__(self, given: WeightFile):
        super().__init__()
        state, self.weights_sha256 = read_state(INCEPTION, given)
        prepare_torchvision()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        with reading(INCEPTION, given):
            self._network = FeatureExtractorInceptionV3(
                "inception-v3-compat",
                [str(POOLED_DIM)],
                feature_extractor_weights_path=_copy(state),
            )

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


def inception(settings: NetworkSettings) -> InceptionExtractor:
    """Make the network of the weight file.

    Raises:
        UserError: there is no file, or it is not Inception's.
    """
    return InceptionExtractor(require_weights(settings.weights, INCEPTION))


def inception_logits(pooled: np.ndarray, weights: Mapping[str, WeightFile]) -> np.ndarray:
    """Logits without bias `[n, 1008]` of pooled features `[n, 2048]`, by the file's last layer.

    The inception score is defined on these.

    Raises:
        UserError: the file is missing, unreadable or has another hash.
    """
    given = require_weights(weights, INCEPTION)
    state, _ = read_state(INCEPTION, given)
    with reading(INCEPTION, given):
        logits: np.ndarray = pooled @ state["fc.weight"].float().numpy().T
    return logits


def _copy(state: dict[str, torch.Tensor]) -> io.BytesIO:
    """The state dict as a file of ours: torch-fidelity unpickles whatever it is given."""
    copy = io.BytesIO()
    torch.save(state, copy)
    copy.seek(0)
    return copy
