"""Running metric networks: features for distances between sets, maps for perceptual distances."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from adatok_core.losses import perceptual_distance
from adatok_core.registry import load_attribute
from bench.metrics.extractors import Extractor, NetworkSettings, WeightFile, used_extractors
from bench.metrics.networks.inception import SHA256_PREFIX


class FeatureNetwork(Protocol):
    """A module that gives features of images."""

    @property
    def card(self) -> dict[str, Any]:
        """Its part of the protocol: `weights_sha256`, `layer`, `input_px`."""

    def features(self, images: Tensor) -> Tensor:
        """Features `[B, d]` float32 of uint8 images `[B, 3, H, W]`."""


class PerceptualNetwork(FeatureNetwork, Protocol):
    """A network of an extractor that declares a perceptual metric."""

    def forward_features(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Features `[B, d]`, and the maps `[B, C, h, w]` that `perceptual_distance` compares."""


@dataclass(frozen=True)
class BuiltExtractor:
    """An extractor with its network."""

    declared: Extractor
    network: FeatureNetwork

    @property
    def name(self) -> str:
        """Its name in banks and protocols."""
        return self.declared.name

    @property
    def card(self) -> dict[str, Any]:
        """Its part of the protocol."""
        return self.network.card

    def features(self, images: Tensor) -> Tensor:
        """Features `[B, d]` of uint8 images `[B, 3, H, W]`."""
        return self.network.features(images)

    def compare(
        self, original: Tensor, decoded: list[Tensor]
    ) -> tuple[list[Tensor], Tensor | None]:
        """Features of the original and of each decoded batch, and perceptual distances `[B, M]`.

        Batches are uint8 `[B, 3, H, W]`, features `[B, d]`. There are distances only where the
        extractor declares a perceptual metric.
        """
        if self.declared.perceptual is None:
            return [self.features(batch) for batch in (original, *decoded)], None
        network = cast(PerceptualNetwork, self.network)
        reference, reference_maps = network.forward_features(original)
        features, distances = [reference], []
        for batch in decoded:
            pooled, maps = network.forward_features(batch)
            features.append(pooled)
            distances.append(perceptual_distance(reference_maps, maps))
        return features, torch.stack(distances, 1)


def build_extractors(
    *,
    resolution: int,
    device: str,
    second: bool = False,
    named: Iterable[str] = (),
    inception_weights: str | None = None,
    inception_sha256: str = SHA256_PREFIX,
) -> list[BuiltExtractor]:
    """The extractors of `used_extractors` with their networks on a device.

    Raises:
        UserError: the weight file is missing, has another hash, or is not Inception's.
    """
    weights = None
    if inception_weights is not None:
        weights = WeightFile(inception_weights, inception_sha256)
    settings = NetworkSettings(resolution=resolution, weights=weights)
    used = used_extractors(second=second, inception=weights is not None, named=named)
    return [BuiltExtractor(one, load_attribute(one.network)(settings).to(device)) for one in used]
