"""The perceptual loss of a training: the distance by a metric network, which has a gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adatok_core.config import TrainingConfig
from adatok_core.registry import load_attribute
from adatok_core.training import PerceptualLoss
from bench.errors import UserError
from bench.metrics.extractor import NetworkSettings
from bench.metrics.extractors import EXTRACTORS
from bench.metrics.weight_files import WeightFile, weights_of_runtime


@dataclass(frozen=True)
class LossNetwork:
    """The network of a training's loss: the extractor's name, and its weight files by name."""

    extractor: str
    weights: tuple[tuple[str, WeightFile], ...] = ()

    @staticmethod
    def of(training: TrainingConfig, runtime: Mapping[str, Any]) -> LossNetwork | None:
        """That of a training whose stage has this `runtime`; None where the loss has no weight."""
        if not training.perceptual:
            return None
        files = tuple(sorted(weights_of_runtime(runtime).items()))
        return LossNetwork(training.perceptual_network, files)

    def loss(self, *, resolution: int, device: str = "cpu") -> PerceptualLoss:
        """Distances `[B]` of float images `[B, 3, H, W]` of that side in px from their originals.

        Raises:
            UserError: a weight file is not the network's, or the network has no `loss`.
        """
        declared = EXTRACTORS[self.extractor]
        declared.require_packages()
        settings = NetworkSettings(resolution=resolution, weights=dict(self.weights))
        network = load_attribute(declared.network)(settings).to(device)
        found: PerceptualLoss | None = getattr(network, "loss", None)
        if found is None:
            raise UserError(
                f"training.perceptual_network: the network of '{self.extractor}' "
                f"({EXTRACTORS.entry(self.extractor).origin}) has no method 'loss'; name another"
            )
        return found
