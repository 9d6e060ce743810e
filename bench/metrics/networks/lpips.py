"""LPIPS on VGG16 with the values of torch-fidelity, from torchvision's and LPIPS's weight files.

torch-fidelity's own class downloads both, so that the network is built here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from bench.metrics.extractor import NetworkSettings
from bench.metrics.networks.files import LPIPS, VGG16
from bench.metrics.networks.state import load, read_state, reading
from bench.metrics.networks.weighted_distance import WeightedDistance
from bench.metrics.weight_files import WeightFile, require_weights

WIDTHS = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)
TAPS = (3, 8, 15, 22, 29)  # The last activation before each pooling.
SMALLEST_PX = 16


class Lpips(WeightedDistance):
    """LPIPS of the weight files `vgg16` and `lpips`.

    Raises:
        UserError: one is missing, has another hash, or is not of this network.
    """

    def __init__(self, weights: Mapping[str, WeightFile]):
        trunk_file, weight_file = require_weights(weights, VGG16), require_weights(weights, LPIPS)
        state, trunk_sha256 = read_state(VGG16, trunk_file)
        with reading(VGG16, trunk_file):
            trunk = vgg16_features()
            found = (re.fullmatch(r"features\.(\d+\.\w+)", name) for name in state)
            load(trunk, {one[1]: state[one[0]] for one in found if one})
        state, lpips_sha256 = read_state(LPIPS, weight_file)
        with reading(LPIPS, weight_file):
            heads = [state[f"lin{level}.model.1.weight"] for level in range(len(TAPS))]
            shapes = [(1, widths[-1], 1, 1) for widths in WIDTHS]
            if [tuple(head.shape) for head in heads] != shapes:
                raise ValueError("shapes of other weights")
        super().__init__(trunk, TAPS, heads, name="LPIPS", smallest_px=SMALLEST_PX)
        self._sha256 = {"vgg16": trunk_sha256, "lpips": lpips_sha256}

    @property
    def card(self) -> dict[str, Any]:
        """Its part of the protocol."""
        return {
            "weights_sha256": self._sha256,
            "layer": "VGG16 activations before each pooling, LPIPS 0.1",
            "input_px": "as the images",
        }


def vgg16_features() -> nn.Sequential:
    """The convolutions of VGG16 (Simonyan & Zisserman 2015) up to the last pooling, no weights."""
    layers: list[nn.Module] = []
    channels = 3
    with torch.device("meta"):
        for level, widths in enumerate(WIDTHS):
            if level:
                layers.append(nn.MaxPool2d(2))
            for width in widths:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
    return nn.Sequential(*layers)


def lpips(settings: NetworkSettings) -> Lpips:
    """Make the network."""
    return Lpips(settings.weights)
