"""How long the pixels of decoded token ids take."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from adatok_core.generator.requests import Finished
from adatok_core.protocols import Tokenizer
from adatok_core.tokenizer import to_uint8


@torch.inference_mode()
def pixel_seconds(
    tokenizer: Tokenizer, images: Sequence[Finished], *, batch: int, device: str
) -> float:
    """Seconds from ids to 8-bit pixels, up to `batch` images of one length at a time.

    The decoder's head for a length is merged beforehand, and not counted.
    """
    lengths, seconds = np.array([image.length for image in images]), 0.0
    for length in np.unique(lengths):
        decoder = tokenizer.prefix_decoder(int(length))
        ids = [torch.from_numpy(image.ids) for image in images if image.length == length]
        _synchronise(device)
        began = time.perf_counter()
        for part in torch.stack(ids).split(batch):
            to_uint8(decoder(part.to(device)))
        _synchronise(device)
        seconds += time.perf_counter() - began
    return seconds


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
