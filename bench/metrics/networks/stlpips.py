"""Shift-tolerant LPIPS on AlexNet (Ghildyal & Liu 2022), with the weights of `stlpips-pytorch`.

Only the package's weight file is read: its code imports packages that it does not ask for.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.metrics.extractor import NetworkSettings
from bench.metrics.networks.state import load, read_state, reading
from bench.metrics.networks.weighted_distance import WeightedDistance
from bench.metrics.weight_files import WeightFile, Weights

PACKAGE = "stlpips-pytorch"
FILE = "stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth"
WEIGHTS = Weights(
    name="stlpips",
    file="alex_shift_tolerant.pth",
    sha256="b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
    source=f"the package {PACKAGE} 0.0.2",
)
CHANNELS = (64, 192, 384, 256, 256)
TAPS = (2, 6, 10, 12, 14)
SMALLEST_PX = 21


class BlurPool(nn.Module):
    """Every second value of maps blurred by [1 2 1] in both directions, mirrored 2 px outwards.

    Zhang 2019, with a wider margin.
    """

    filt: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("filt", torch.empty(channels, 1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[B, C, h, w]` to about half their size."""
        padded = F.pad(x, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(padded, self.filt, stride=2, groups=x.shape[1])


class ShiftTolerantLpips(WeightedDistance):
    """ST-LPIPS; the values are not those of LPIPS.

    Raises:
        PackageNotFoundError: the package is not installed.
        UserError: its file is another one.
    """

    def __init__(self) -> None:
        given = WeightFile(str(metadata.distribution(PACKAGE).locate_file(FILE)), WEIGHTS.sha256)
        state, sha256 = read_state(WEIGHTS, given)
        with reading(WEIGHTS, given):
            trunk = shift_tolerant_alexnet()
            own = {
                ".".join(name.split(".")[2:]): value
                for name, value in state.items()
                if name.startswith("net.")
            }
            load(trunk, own)
            heads = [state[f"lin{level}.model.1.weight"] for level in range(len(TAPS))]
        super().__init__(trunk, TAPS, heads, name="ST-LPIPS", smallest_px=SMALLEST_PX)
        self._sha256 = sha256

    @property
    def card(self) -> dict[str, Any]:
        """Its part of the protocol."""
        return {
            "weights_sha256": self._sha256,
            "layer": "shift-tolerant AlexNet activations, ST-LPIPS 0.0",
            "input_px": "as the images",
        }


def shift_tolerant_alexnet() -> nn.Sequential:
    """AlexNet that takes every second value of blurred maps only, without weights."""
    first, second, third, fourth, fifth = CHANNELS
    with torch.device("meta"):
        return nn.Sequential(
            nn.Conv2d(3, first, 11, padding=2),
            BlurPool(first),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=1),
            BlurPool(first),
            nn.Conv2d(first, second, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=1),
            BlurPool(second),
            nn.Conv2d(second, third, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(third, fourth, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(fourth, fifth, 3, padding=1),
            nn.ReLU(),
        )


def stlpips(settings: NetworkSettings) -> ShiftTolerantLpips:
    """Make the network."""
    return ShiftTolerantLpips()
