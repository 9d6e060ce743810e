"""The metric networks, each declared once: what gives features, and what its metrics are called.

Nothing here imports a network; `bench.metrics.extraction` runs them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adatok_core.registry import Registry, RegistryError, load_attribute
from bench.errors import UserError
from bench.metrics.feature_metrics import (
    FeatureMetrics,
    reconstruction_metrics,
    sample_metrics,
)
from bench.metrics.metric import Metric

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class WeightFile:
    """The path of Inception's weights, and how the file's SHA-256 (hex) must begin."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Settings that a network is made with: the side in px of its input, Inception's weights."""

    resolution: int
    weights: WeightFile | None = None


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A metric network.

    Args:
        name: what its arrays in a bank and its part of the protocol are called.
        network: `module:callable` that makes the network (`extraction.FeatureNetwork`) of
            `NetworkSettings`.
        reconstructions: the metrics of its features of reconstructions.
        samples: those of generated images.
        packages: packages whose versions the features depend on: part of the protocol.
        logits: `module:function` of features `[n, d]` and a `WeightFile` or None that gives logits
            `[n, classes]`; without it there is no inception score.
        perceptual: the metric of single images that its feature maps give.
    """

    name: str
    network: str
    reconstructions: FeatureMetrics
    samples: FeatureMetrics
    packages: tuple[str, ...] = ()
    logits: str | None = None
    perceptual: Metric | None = None

    def of_reconstructions(self) -> tuple[Metric, ...]:
        """Declarations of what it measures of reconstructions."""
        perceptual = () if self.perceptual is None else (self.perceptual,)
        return (*perceptual, *self.reconstructions.declarations())

    def of_samples(self) -> tuple[Metric, ...]:
        """Declarations of what it measures of generated images."""
        return self.samples.declarations()

    def class_logits(self, features: np.ndarray, weights: WeightFile | None) -> np.ndarray | None:
        """Logits `[n, classes]` of features `[n, d]`; None where the network tells no classes.

        Raises:
            UserError: its last layer is in a file that is not given, or is not that file.
        """
        return None if self.logits is None else load_attribute(self.logits)(features, weights)


EXTRACTORS: Registry[Extractor] = Registry(
    "extractor", group="adatok_bench.extractors", expects=Extractor
)
EXTRACTORS.add(
    "lite0",
    Extractor(
        name="lite0",
        network="bench.metrics.networks.lite:lite0",
        logits="bench.metrics.networks.lite:lite0_logits",
        packages=("efficientnet-lite-pytorch",),
        perceptual=Metric(
            name="perceptual", title="perceptual distance", listed=True, compared=1, quality=3
        ),
        reconstructions=reconstruction_metrics(
            "lite0",
            "Lite0",
            frechet=Metric(
                name="fd_lite0",
                title="FD",
                listed=True,
                main=4,
                compared=3,
                quality=5,
                stands_in_for="rfid",
            ),
            kernel=Metric(name="kid_lite0", title="KID", listed=True),
        ),
        samples=sample_metrics(
            "lite0",
            "Lite0",
            frechet=Metric(
                name="gfd_lite0", title="gFD", listed=True, main=7, compared=7, stands_in_for="gfid"
            ),
            kernel=Metric(name="gkd_lite0", title="gKD", listed=True, compared=8),
        ),
    ),
    about="EfficientNet-Lite0, whose feature maps give the perceptual distance",
)
EXTRACTORS.add(
    "lite1",
    Extractor(
        name="lite1",
        network="bench.metrics.networks.lite:lite1",
        logits="bench.metrics.networks.lite:lite1_logits",
        packages=("efficientnet-lite-pytorch",),
        reconstructions=reconstruction_metrics(
            "lite1", "Lite1", frechet=Metric(name="fd_lite1", title="FD", listed=True, quality=6)
        ),
        samples=sample_metrics("lite1", "Lite1", frechet=Metric(name="gfd_lite1", title="gFD")),
    ),
    about="EfficientNet-Lite1, a second opinion on distances",
)
EXTRACTORS.add(
    "inception",
    Extractor(
        name="inception",
        network="bench.metrics.networks.inception:inception",
        logits="bench.metrics.networks.inception:inception_logits",
        packages=("torch-fidelity",),
        reconstructions=FeatureMetrics(
            frechet=Metric(name="rfid", title="rFID", listed=True, main=3, compared=2, quality=4),
            kernel=Metric(name="kid", title="KID", listed=True),
            score="isc",
            precision="precision",
            recall="recall",
        ),
        samples=FeatureMetrics(
            frechet=Metric(name="gfid", title="gFID", listed=True, main=6, compared=6),
            kernel=Metric(name="gkid", title="gKID"),
            score="gisc",
            precision="gprecision",
            recall="grecall",
            samples=True,
        ),
    ),
    about="torch-fidelity's Inception, the network of FID, from a weight file",
)
# How a bank is asked for those that ship; any other one is named in `bank.extractors`.
SHIPPED = {
    "lite0": "every evaluation has it",
    "lite1": "set bank.second_extractor",
    "inception": "set bank.inception_weights",
}


def used_extractors(*, second: bool, inception: bool, named: Iterable[str]) -> list[Extractor]:
    """Lite0 always, Lite1 as a second one, Inception where there are weights, and those named."""
    asked = {"lite0": True, "lite1": second, "inception": inception}
    return [
        EXTRACTORS[name] for name in (*(n for n, is_asked in asked.items() if is_asked), *named)
    ]


def require_extractors(names: Iterable[str]) -> None:
    """Refuse names in `bank.extractors` that are no extractors, or are asked for in another way.

    Raises:
        UserError: the first such name, with what to do.
    """
    for name in names:
        if name in SHIPPED:
            raise UserError(f"bank.extractors: '{name}': {SHIPPED[name]}; remove it here")
        try:
            extractor = EXTRACTORS[name]
        except RegistryError as error:
            raise UserError(f"bank.extractors: {error}") from None
        if extractor.name != name:
            raise UserError(
                f"bank.extractors: '{name}' ({EXTRACTORS.entry(name).origin}) calls itself "
                f"'{extractor.name}'; register it under that name"
            )
