"""Whether a training has ignited: whether what it reconstructs depends on the image.

A small tokenizer may stay for the whole of a short training where it paints little more than an
image's mean colour (experiments/FINDINGS.md, "Recipe"). The pixel loss is held against that of each
image's own mean colour, so contrast and the kind of loss cancel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from adatok_core.losses import PixelLoss, pixel_distance
from adatok_core.tokenizer import to_float

# On scenes of 32 px a training whose error did not fall with tokens (17.0 to 17.5 dB of validation)
# ended near -0.05, two that had begun to differ (17.0 to 18.0 dB) near 0.06 and 0.12; what FINDINGS
# calls ignited, 18.2 to 19.7 dB, is 0.24 to 0.46.
IGNITED = 0.1
# A single row is one batch: its noise is a tenth of the loss at 32 images.
LAST = 0.25
LEAST_ROWS = 4
CHUNK = 64  # as floats in memory at a time


@dataclass(frozen=True)
class Ignition:
    """The share of the loss of a mean colour that a training takes away at its end; the verdict."""

    explained: float
    verdict: Literal["ignited", "plateau"]


def mean_colour_loss(images: Tensor, *, kind: PixelLoss) -> float:
    """Pixel loss of painting each of the uint8 `images [B, 3, H, W]` in its own mean colour."""
    total = 0.0
    for part in images.split(CHUNK):
        pixels = to_float(part)
        means = pixels.mean((2, 3), keepdim=True).expand_as(pixels)
        total += pixel_distance(pixels, means, kind=kind).item() * len(part)
    return total / len(images)


def ignition(history: Sequence[Mapping[str, float]], *, mean_colour: float) -> Ignition:
    """Judge a training by the mean `pixel_loss` of the last quarter of its history, or 4 rows.

    `mean_colour` is the same loss of each image's mean colour; images without any variation, of
    which a mean colour explains all, count as ignited.

    Raises:
        ValueError: the history has no row.
    """
    if not history:
        raise ValueError("history: has no row to judge a training by")
    rows = max(LEAST_ROWS, round(LAST * len(history)))
    last = [row["pixel_loss"] for row in history[-rows:]]
    loss = torch.tensor(last, dtype=torch.float64).mean().item()
    explained = 1 - loss / mean_colour if mean_colour > 0 else 1.0
    return Ignition(explained, "ignited" if explained >= IGNITED else "plateau")
