"""One number per image that may tell how many tokens it needs."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from bench.allocators.base import Seen

Score = Callable[[Seen], np.ndarray]
BATCH = 256


def png_size(seen: Seen) -> np.ndarray:
    """Bytes `[n]` of each image as a PNG with optimised deflate."""
    return np.array([png_bytes(image) for image in seen.part("pixels")], dtype=np.float64)


def png_bytes(image: np.ndarray) -> int:
    """Bytes of an image, uint8 `[3, H, W]`, as a PNG with optimised deflate."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(file, "PNG", optimize=True)
    return file.tell()


def edge_density(seen: Seen) -> np.ndarray:
    """Mean magnitude `[n]` of the luminance gradient, in grey levels (0 to 255) per pixel.

    Differences between neighbouring pixels; luminance by Rec. 601.
    """
    parts, images = [], seen.part("pixels")
    for first in range(0, seen.count, BATCH):
        pixels = np.asarray(images[first : first + BATCH], dtype=np.float64)
        grey = np.einsum("nchw,c->nhw", pixels, [0.299, 0.587, 0.114])
        across, down = np.diff(grey, axis=2)[:, 1:], np.diff(grey, axis=1)[:, :, 1:]
        parts.append(np.hypot(across, down).mean(axis=(1, 2)))
    return np.concatenate(parts)


@dataclass(frozen=True)
class CodeSurprisal:
    """Mean surprisal of an image's first tokens under how often each code is seen at its position.

    `codes[p]` are the codes of position `p` in the images it was fitted on, sorted, `bits[p]` their
    surprisals `-log2 p(id | position)`, with one more entry for every code that was never seen
    there. Frequencies are add-one smoothed over the codes seen and that rest.
    """

    codes: tuple[np.ndarray, ...]
    bits: tuple[np.ndarray, ...]

    @staticmethod
    def fitted(ids: np.ndarray, *, prefix: int | None) -> CodeSurprisal:
        """From token ids `[n, N]`; the first `prefix` positions, or all."""
        codes, bits = [], []
        for position in range(ids.shape[1] if prefix is None else prefix):
            values, counts = np.unique(ids[:, position], return_counts=True)
            smoothed = np.append(counts + 1, 1)
            codes.append(values)
            bits.append(np.log2(smoothed.sum()) - np.log2(smoothed))
        return CodeSurprisal(tuple(codes), tuple(bits))

    def __call__(self, seen: Seen) -> np.ndarray:
        """Bits per token `[n]`."""
        total, tokens = np.zeros(seen.count), seen.part("ids")
        for position, (codes, bits) in enumerate(zip(self.codes, self.bits, strict=True)):
            ids = np.asarray(tokens[:, position])
            at = np.minimum(np.searchsorted(codes, ids), len(codes) - 1)
            total += bits[np.where(codes[at] == ids, at, len(codes))]
        return total / len(self.codes)
