"""Running metric networks: features for distances between sets, perceptual distances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from adatok_core.losses import perceptual_distance
from adatok_core.registry import load_attribute
from bench.metrics.extractor import Extractor, NetworkSettings
from bench.metrics.extractors import used_extractors
from bench.metrics.weight_files import WeightFile


class Network(Protocol):
    """A metric network."""

    @property
    def card(self) -> dict[str, Any]:
        """Its part of the protocol: `weights_sha256`, `layer`, `input_px`."""


class FeatureNetwork(Network, Protocol):
    """A module that gives features of images."""

    def features(self, images: Tensor) -> Tensor:
        """Features `[B, d]` float32 of uint8 images `[B, 3, H, W]`."""


class PerceptualNetwork(FeatureNetwork, Protocol):
    """A network that gives features, and maps for a perceptual metric."""

    def forward_features(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Features `[B, d]`, and the maps `[B, C, h, w]` that `perceptual_distance` compares."""


class DistanceNetwork(Network, Protocol):
    """A network that gives perceptual distances and no features."""

    def distances(self, original: Tensor, decoded: list[Tensor]) -> Tensor:
        """Distances `[B, M]` float32 of uint8 images `[B, 3, H, W]` from `M` batches like them."""


@dataclass(frozen=True)
class BuiltExtractor:
    """An extractor with its network."""

    declared: Extractor
    network: Network

    @property
    def name(self) -> str:
        """Its name in banks and protocols."""
        return self.declared.name

    @property
    def card(self) -> dict[str, Any]:
        """Its part of the protocol."""
        return self.network.card

    def features(self, images: Tensor) -> Tensor:
        """Features `[B, d]` of uint8 images `[B, 3, H, W]`, of a network that gives any."""
        return cast(FeatureNetwork, self.network).features(images)

    def compare(
        self, original: Tensor, decoded: list[Tensor]
    ) -> tuple[list[Tensor], Tensor | None]:
        """Features of the original and of each decoded batch, and perceptual distances `[B, M]`.

        Batches are uint8 `[B, 3, H, W]`, features `[B, d]`. There are features only where the
        extractor declares metrics of them, and distances where it declares a perceptual metric.
        """
        if self.declared.reconstructions is None:
            return [], cast(DistanceNetwork, self.network).distances(original, decoded)
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
    weights: Mapping[str, WeightFile] | None = None,
) -> list[BuiltExtractor]:
    """The extractors of `used_extractors` with their networks on a device.

    Inception is one of them where `weights` hold its file.

    Raises:
        UserError: a weight file is missing, has another hash, or is not the network's; or a package
            is not installed.
    """
    weights = weights or {}
    settings = NetworkSettings(resolution=resolution, weights=weights)
    used = used_extractors(second=second, inception="inception" in weights, named=named)
    for one in used:
        one.require_packages()
    return [BuiltExtractor(one, load_attribute(one.network)(settings).to(device)) for one in used]
