"""DINOv2's class token on torch-fidelity's input, from the weight files that Meta publishes.

torch-fidelity takes the network from the hub of torch, over the net, and no weight file with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.metrics.extractor import NetworkSettings
from bench.metrics.networks.files import DINOV2, DINOV2_SMALL
from bench.metrics.networks.state import load, read_state, reading
from bench.metrics.networks.torchvision_shim import prepare_torchvision
from bench.metrics.weight_files import WeightFile, Weights, require_weights

INPUT_PX, PATCH = 224, 14
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CHUNK = 16


@dataclass(frozen=True)
class Shape:
    """Size of a vision transformer; its hidden layers have four times its width."""

    width: int
    depth: int
    heads: int


SMALL, LARGE = Shape(384, 12, 6), Shape(1024, 24, 16)


class VisionTransformer(nn.Module):
    """The class token of a vision transformer with layer scale (Oquab et al. 2024).

    Args:
        state: weights by DINOv2's names; layer scales become part of the layers before them.
        shape: the size that they must have.

    Raises:
        RuntimeError, KeyError, ValueError: names or shapes are not those of such a network.
    """

    def __init__(self, state: Mapping[str, Tensor], shape: Shape):
        super().__init__()
        width = shape.width
        with torch.device("meta"):
            self.patches = nn.Conv2d(3, width, PATCH, stride=PATCH)
            layer = nn.TransformerEncoderLayer(
                width,
                shape.heads,
                4 * width,
                dropout=0.0,
                activation="gelu",
                layer_norm_eps=1e-6,
                batch_first=True,
                norm_first=True,
            )
            norm = nn.LayerNorm(width, eps=1e-6)
            self.blocks = nn.TransformerEncoder(
                layer, shape.depth, norm, enable_nested_tensor=False
            )
            self.positions = nn.Parameter(torch.empty(1, (INPUT_PX // PATCH) ** 2 + 1, width))
        load(self, _converted(state, shape.depth))

    def forward(self, images: Tensor) -> Tensor:
        """Class tokens `[B, width]` of normalised images `[B, 3, 224, 224]`."""
        patches = self.patches(images).flatten(2).transpose(1, 2)
        tokens = F.pad(patches, (0, 0, 1, 0)) + self.positions
        encoded: Tensor = self.blocks(tokens)
        return encoded[:, 0]


def _converted(state: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """The weights by the names of torch's own layers; raises ValueError where others are left."""
    left = dict(state)
    left.pop("mask_token", None)  # Of use in training only.
    found = {
        "patches.weight": left.pop("patch_embed.proj.weight"),
        "patches.bias": left.pop("patch_embed.proj.bias"),
        "positions": _positions(left.pop("pos_embed"), left.pop("cls_token")),
        "blocks.norm.weight": left.pop("norm.weight"),
        "blocks.norm.bias": left.pop("norm.bias"),
    }
    for index in range(depth):
        theirs, ours = f"blocks.{index}.", f"blocks.layers.{index}."
        scales = {name: left.pop(f"{theirs}{name}.gamma") for name in ("ls1", "ls2")}
        for name, own, scale in (
            ("norm1.", "norm1.", None),
            ("attn.qkv.", "self_attn.in_proj_", None),
            ("attn.proj.", "self_attn.out_proj.", "ls1"),
            ("norm2.", "norm2.", None),
            ("mlp.fc1.", "linear1.", None),
            ("mlp.fc2.", "linear2.", "ls2"),
        ):
            for kind in ("weight", "bias"):
                value = left.pop(f"{theirs}{name}{kind}")
                if scale:
                    value = torch.einsum("o,o...->o...", scales[scale], value)
                found[f"{ours}{own}{kind}"] = value
    if left:
        raise ValueError(f"it has {next(iter(left))} too")
    return found


def _positions(learned: Tensor, class_token: Tensor) -> Tensor:
    """Positions `[1, 1 + 256, D]` of the class token, which is added, and of the patches.

    They are learned on a larger grid `[1, 1 + m^2, D]`. DINOv2 resizes them by a scale with an
    offset of 0.1 patches, which its values depend on.
    """
    side, grid = INPUT_PX // PATCH, round((learned.shape[1] - 1) ** 0.5)
    own, patches = learned[:, :1] + class_token, learned[:, 1:]
    if grid != side:
        maps = patches.unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
        scale = (side + 0.1) / grid
        maps = F.interpolate(maps.float(), scale_factor=(scale, scale), mode="bicubic")
        patches = maps.permute(0, 2, 3, 1).flatten(1, 2)
    return torch.cat([own, patches], 1)


class Dinov2(nn.Module):
    """Features of DINOv2, resized and normalised as torch-fidelity does.

    Args:
        declared: the weight file.
        given: where it is.
        shape: the size of the network.

    Raises:
        UserError: it is missing, has another hash, or is not of this network.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, declared: Weights, given: WeightFile, shape: Shape):
        super().__init__()
        state, self._sha256 = read_state(declared, given)
        with reading(declared, given):
            self.network = VisionTransformer(state, shape)
        self.register_buffer("mean", 255 * torch.tensor(MEAN)[:, None, None])
        self.register_buffer("deviation", 255 * torch.tensor(DEVIATION)[:, None, None])

    @property
    def card(self) -> dict[str, Any]:
        """Its part of the protocol."""
        return {
            "weights_sha256": self._sha256,
            "layer": "class token behind the last norm",
            "input_px": INPUT_PX,
            "resize": "bilinear, as TensorFlow 1",
        }

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Features `[B, D]` float32 of uint8 images `[B, 3, H, W]`, resized to 224 px."""
        prepare_torchvision()
        from torch_fidelity.interpolate_compat_tensorflow import (
            interpolate_bilinear_2d_like_tensorflow1x as resize,
        )

        parts = []
        for part in images.split(_CHUNK):
            resized = resize(part.float(), size=(INPUT_PX, INPUT_PX), align_corners=False)
            parts.append(self.network((resized - self.mean) / self.deviation))
        return torch.cat(parts)


def large(settings: NetworkSettings) -> Dinov2:
    """Make ViT-L/14."""
    return Dinov2(DINOV2, require_weights(settings.weights, DINOV2), LARGE)


def small(settings: NetworkSettings) -> Dinov2:
    """Make ViT-S/14."""
    return Dinov2(DINOV2_SMALL, require_weights(settings.weights, DINOV2_SMALL), SMALL)
