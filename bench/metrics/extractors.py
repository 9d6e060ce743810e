"""The metric networks of a bank: features for Fréchet and kernel distances, maps for perception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adatok_core.losses import perceptual_distance
from bench.metrics.inception import SHA256_PREFIX, InceptionExtractor
from bench.metrics.lite import Lite0, Lite1, weights_sha256


@dataclass(frozen=True)
class Extractor:
    """A metric network under its name in metrics, with its part of the protocol (`card`)."""

    name: str
    network: nn.Module
    card: dict[str, Any]

    def features(self, images: Tensor) -> Tensor:
        """Features `[B, d]` of uint8 images `[B, 3, H, W]`."""
        if isinstance(self.network, InceptionExtractor):
            return self.network.features(images)
        return self.network.forward_features(images)[0]

    def compare(
        self, original: Tensor, decoded: list[Tensor]
    ) -> tuple[list[Tensor], Tensor | None]:
        """Features of the original and of each decoded batch, and perceptual distances `[B, M]`.

        Batches are uint8 `[B, 3, H, W]`, features `[B, d]`. Only Lite0 gives distances.
        """
        if isinstance(self.network, InceptionExtractor | Lite1):
            return [self.features(batch) for batch in (original, *decoded)], None
        reference, reference_maps = self.network.forward_features(original)
        features, distances = [reference], []
        for batch in decoded:
            pooled, maps = self.network.forward_features(batch)
            features.append(pooled)
            distances.append(perceptual_distance(reference_maps, maps))
        return features, torch.stack(distances, 1)


def build_extractors(
    *,
    resolution: int,
    device: str,
    second: bool = False,
    inception_weights: str | None = None,
    inception_sha256: str = SHA256_PREFIX,
) -> list[Extractor]:
    """Lite0 always; Lite1 as a second one when asked for; Inception when there is a weight file.

    Raises:
        UserError: the weight file is missing, has another hash, or is not Inception's.
    """
    extractors = [
        _lite(kind, resolution, device) for kind in ([Lite0, Lite1] if second else [Lite0])
    ]
    if inception_weights is not None:
        network = InceptionExtractor(inception_weights, sha256=inception_sha256).to(device)
        card = {"weights_sha256": network.weights_sha256, "layer": "pooled 2048", "input_px": 299}
        extractors.append(Extractor("inception", network, card))
    return extractors


def _lite(kind: type[Lite0], resolution: int, device: str) -> Extractor:
    card = {
        "weights_sha256": weights_sha256(kind.size),
        "layer": "pooled 1280",
        "input_px": resolution,
    }
    return Extractor(kind.size, kind(resolution).to(device), card)
