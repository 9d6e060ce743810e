"""What a training of a tokenizer adds to its stage: its settings, and its loss's weight files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adatok_core.config import TrainingConfig
from bench.config.settings import plain
from bench.errors import UserError
from bench.metrics.extractors import EXTRACTORS
from bench.metrics.weight_files import WeightFile, weights_to_runtime


def of_training(
    training: TrainingConfig, weights: Mapping[str, WeightFile], *, key: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and `runtime` of the training that a suite has under `key`.

    `weights` are the files of the bank; the hashes of those that it needs make the stage's key.

    Raises:
        UserError: the network of the loss measures no distances.
    """
    settings = {"training": plain(training)}
    if not training.perceptual:
        return settings, {}
    network = EXTRACTORS[training.perceptual_network]
    if network.perceptual is None:
        able = [name for name in EXTRACTORS if EXTRACTORS[name].perceptual is not None]
        raise UserError(
            f"{key}.perceptual_network: {network.name} measures no distance of two images; "
            f"choose from {', '.join(able)}"
        )
    files = {one.name: weights[one.name] for one in network.weights}
    if not files:
        return settings, {}
    hashes = {name: file.sha256 for name, file in files.items()}
    return {**settings, "weights": hashes}, weights_to_runtime(files)
