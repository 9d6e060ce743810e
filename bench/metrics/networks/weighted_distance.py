"""The distance of LPIPS: unit-length feature maps, squared differences, a weight per channel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.errors import UserError

# Of images on [-1, 1], as LPIPS has them.
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10
CHUNK_PIXELS = 64 * 64 * 64


class WeightedDistance(nn.Module):
    """A perceptual distance by a trunk's feature maps (Zhang et al. 2018).

    Args:
        trunk: layers one behind the other.
        taps: those whose outputs are compared.
        channel_weights: `[1, C, 1, 1]` for each of them.
        name: what messages call the metric.
        smallest_px: the smallest side that the trunk takes.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        trunk: nn.Sequential,
        taps: Sequence[int],
        channel_weights: Sequence[Tensor],
        *,
        name: str,
        smallest_px: int,
    ):
        super().__init__()
        self.trunk, self.taps = trunk, tuple(taps)
        self.name, self.smallest_px = name, smallest_px
        self.weights = nn.ParameterList(nn.Parameter(one, False) for one in channel_weights)
        mean, deviation = (1 + torch.tensor(SHIFT)) * 127.5, torch.tensor(SCALE) * 127.5
        self.register_buffer("shift", mean[:, None, None])
        self.register_buffer("scale", 1 / deviation[:, None, None])

    @torch.no_grad()
    def distances(self, original: Tensor, decoded: Sequence[Tensor]) -> Tensor:
        """Distances `[B, M]` float32 of uint8 images `[B, 3, H, W]` from `M` batches like them.

        Images keep their size: the distance is another one at another resolution.

        Raises:
            UserError: the images are smaller than the trunk takes.
        """
        height, width = original.shape[-2:]
        self._require_size(height, width)
        chunk = max(1, CHUNK_PIXELS // (height * width))
        rows = []
        for reference, *others in zip(
            original.split(chunk), *(batch.split(chunk) for batch in decoded), strict=True
        ):
            maps = self._maps(reference)
            rows.append(torch.stack([self._compare(maps, self._maps(one)) for one in others], 1))
        return torch.cat(rows)

    def loss(self, decoded: Tensor, original: Tensor) -> Tensor:
        """Distances `[B]` of float images `[B, 3, H, W]` in [0, 1], with a gradient in `decoded`.

        Raises:
            UserError: the images are smaller than the trunk takes.
        """
        self._require_size(*original.shape[-2:])
        with torch.no_grad():
            target = self._maps(original * 255)
        return self._compare(self._maps(decoded * 255), target)

    def _require_size(self, height: int, width: int) -> None:
        if min(height, width) < self.smallest_px:
            raise UserError(
                f"{self.name} needs images of at least {self.smallest_px} px, not "
                f"{height} x {width}; remove it from bank.extractors, or raise data.resolution"
            )

    def _maps(self, images: Tensor) -> list[Tensor]:
        """Unit-length maps `[B, C, h, w]` at the taps."""
        x, maps = (images.float() - self.shift) * self.scale, []
        for index, layer in enumerate(self.trunk):
            x = layer(x)
            if index in self.taps:
                maps.append(x / (x.square().sum(1, keepdim=True).sqrt() + _EPSILON))
        return maps

    def _compare(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
        parts = [
            ((one - other).square() * weight).sum(1).mean((1, 2))
            for one, other, weight in zip(a, b, self.weights, strict=True)
        ]
        return torch.stack(parts).sum(0)
