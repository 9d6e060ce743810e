"""Token ids to pictures, batched by the number of tokens, and to their features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from adatok_core.protocols import Tokenizer
from adatok_core.tokenizer import to_uint8
from bench.metrics.extraction import BuiltExtractor


@torch.inference_mode()
def pictures(
    tokenizer: Tokenizer, ids: np.ndarray, lengths: np.ndarray, *, batch: int, device: str
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Rows `[b]` and their pictures, uint8 `[b, 3, H, W]`, up to `batch` of one length at a time.

    Of `ids [n, N]` the first `lengths [n]` count. Every head is merged once.
    """
    for length in np.unique(lengths):
        decoder = tokenizer.prefix_decoder(int(length))
        of_length = np.flatnonzero(lengths == length)
        for first in range(0, len(of_length), batch):
            rows = of_length[first : first + batch]
            tokens = torch.from_numpy(ids[rows, :length].astype(np.int64)).to(device)
            yield rows, to_uint8(decoder(tokens))


@torch.inference_mode()
def picture_features(
    tokenizer: Tokenizer,
    ids: np.ndarray,
    lengths: np.ndarray,
    *,
    extractors: Sequence[BuiltExtractor],
    batch: int,
    device: str,
) -> dict[str, np.ndarray]:
    """Features `[n, d]` of the pictures by extractor."""
    found: dict[str, np.ndarray] = {}
    for rows, images in pictures(tokenizer, ids, lengths, batch=batch, device=device):
        for extractor in extractors:
            values = extractor.features(images).cpu().numpy()
            if extractor.name not in found:
                found[extractor.name] = np.empty((len(ids), values.shape[1]), values.dtype)
            found[extractor.name][rows] = values
    return found
