"""The metric networks of a bank: features for Fréchet and kernel distances, maps for perception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adatok_core.losses import perceptual_distance
from bench.metrics.inception import InceptionExtractor
from bench.metrics.lite0 import Lite0, weights_sha256


@dataclass(frozen=True)
class Extractor:
    """A metric network under its name in metrics, with its part of the protocol (`card`)."""

    name: str
    network: nn.Module
    card: dict[str, Any]

    def compare(
        self, original: Tensor, decoded: list[Tensor]
    ) -> tuple[list[Tensor], Tensor | None]:
        """Features of the original and of each decoded batch, and perceptual distances `[B, M]`.

        Batches are uint8 `[B, 3, H, W]`, features `[B, d]`. Only Lite0 gives distances.
        """
        if isinstance(self.network, InceptionExtractor):
            return [self.network.features(batch) for batch in (original, *decoded)], None
        reference, reference_maps = self.network.forward_features(original)
        features, distances = [reference], []
        for batch in decoded:
            pooled, maps = self.network.forward_features(batch)
            features.append(pooled)
            distances.append(perceptual_distance(reference_maps, maps))
        return features, torch.stack(distances, 1)


def build_extractors(
    *, resolution: int, inception_weights: str | None, device: str
) -> list[Extractor]:
    """Lite0 always; Inception when there is a weight file.

    Raises:
        UserError: the weight file is missing or is not Inception's.
    """
    lite0 = Extractor(
        "lite0",
        Lite0(resolution).to(device),
        {"weights_sha256": weights_sha256(), "layer": "pooled 1280", "input_px": resolution},
    )
    if inception_weights is None:
        return [lite0]
    network = InceptionExtractor(inception_weights).to(device)
    card = {"weights_sha256": network.weights_sha256, "layer": "pooled 2048", "input_px": 299}
    return [lite0, Extractor("inception", network, card)]
