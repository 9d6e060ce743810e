"""The declaration of a metric network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adatok_core.registry import load_attribute
from bench.errors import UserError
from bench.metrics.feature_metrics import FeatureMetrics
from bench.metrics.metric import Metric
from bench.metrics.weight_files import WeightFile, Weights
from bench.store.provenance import package_versions

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Settings that a network is made with: the side in px of its input, and weight files by name.

    `resolution` is the suite's `bank.extractor_resolution`; a network with an input size of its own
    has no use for it.
    """

    resolution: int
    weights: Mapping[str, WeightFile] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A metric network: it gives features, perceptual distances, or both.

    Args:
        name: what its arrays in a bank and its part of the protocol are called.
        network: `module:callable` that makes the network of `NetworkSettings`: a `FeatureNetwork`,
            a `PerceptualNetwork` or a `DistanceNetwork` of `bench.metrics.extraction`.
        reconstructions: the metrics of its features of reconstructions, if it gives features.
        samples: those of generated images, likewise.
        packages: packages whose versions its values depend on: part of the protocol.
        logits: `module:function` of features `[n, d]` and the weight files by name that gives
            logits `[n, classes]`; without it there is no inception score.
        perceptual: the metric of single images that it gives, if it does.
        weights: the files that a suite must give.
        install: how to install the packages, where that is not `pip install PACKAGE`.

    Raises:
        ValueError: it declares no metric, or metrics of features for one use only.
    """

    name: str
    network: str
    reconstructions: FeatureMetrics | None = None
    samples: FeatureMetrics | None = None
    packages: tuple[str, ...] = ()
    logits: str | None = None
    perceptual: Metric | None = None
    weights: tuple[Weights, ...] = ()
    install: str = ""

    def __post_init__(self) -> None:
        if (self.reconstructions is None) != (self.samples is None):
            raise ValueError(f"{self.name}: declare reconstructions and samples, or neither")
        if self.reconstructions is None and self.perceptual is None:
            raise ValueError(f"{self.name}: declares no metric")

    def of_reconstructions(self) -> tuple[Metric, ...]:
        """Declarations of what it measures of reconstructions."""
        perceptual = () if self.perceptual is None else (self.perceptual,)
        features = () if self.reconstructions is None else self.reconstructions.declarations()
        return (*perceptual, *features)

    def of_samples(self) -> tuple[Metric, ...]:
        """Declarations of what it measures of generated images."""
        return () if self.samples is None else self.samples.declarations()

    def feature_metrics(self, *, samples: bool = False) -> FeatureMetrics:
        """Its metrics of features, of reconstructions or of samples.

        Raises:
            ValueError: it gives no features.
        """
        found = self.samples if samples else self.reconstructions
        if found is None:
            raise ValueError(f"{self.name} gives no features")
        return found

    @property
    def needs(self) -> str:
        """What it takes that does not ship, for people; empty where that is nothing."""
        files = [f"{one.setting}: {one.file}" for one in self.weights]
        return ", ".join([*files, *([self.install] if self.install else [])])

    def require_packages(self) -> None:
        """Refuse to go without a package that its values depend on.

        Raises:
            UserError: it is not installed; says how to.
        """
        for package in self.packages:
            if not package_versions([package]):
                raise UserError(
                    f"extractor '{self.name}': package {package} is not installed; "
                    f"{self.install or f'pip install {package}'}"
                )

    def class_logits(
        self, features: np.ndarray, weights: Mapping[str, WeightFile]
    ) -> np.ndarray | None:
        """Logits `[n, classes]` of features `[n, d]`; None where the network tells no classes.

        Raises:
            UserError: its last layer is in a file that is not given, or is not that file.
        """
        return None if self.logits is None else load_attribute(self.logits)(features, weights)
