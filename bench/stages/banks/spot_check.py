"""A check of a bank: a few images are encoded and decoded again, by another way."""

from __future__ import annotations

import time

import numpy as np
import torch

from adatok_core.tokenizer import ElasticTokenizer
from bench.artifacts.decodings import Decodings
from bench.metrics.pixel import mse
from bench.stages.banks.taken import TakenImages

SPOT_CHECKS = 16
SPOT_SECONDS, FEWEST_SPOTS = 60.0, 4
# Others may compute in bfloat16, whose sums differ by a batch's size.
SPOT_TOLERANCE, SPOT_TOLERANCE_OF_OTHERS = 1e-3, 2e-2
SPOT_MOVED = 0.1


def spot_check(
    decodings: Decodings,
    budgets: list[int],
    images: TakenImages,
    *,
    stored: np.ndarray,
    stored_ids: np.ndarray | None,
    device: str,
) -> None:
    """Encode and decode a few images again, alone and unmerged, and compare with the arrays.

    `SPOT_CHECKS` of them, or as many as `SPOT_SECONDS` allow.
    """
    rng = np.random.default_rng(len(stored))
    others = not isinstance(decodings.tokenizer, ElasticTokenizer | None)
    tolerance = SPOT_TOLERANCE_OF_OTHERS if others else SPOT_TOLERANCE
    moved: list[float] = []
    wrong, began = [], time.monotonic()
    for checked, row in enumerate(rng.integers(len(stored), size=SPOT_CHECKS)):
        if checked >= FEWEST_SPOTS and time.monotonic() - began > SPOT_SECONDS:
            break
        column = int(rng.integers(len(budgets)))
        budget, ids = budgets[column], None
        original = images.originals(row, row + 1, device)
        with torch.inference_mode():
            encoded, _ = decodings.encoded(original)
            if stored_ids is not None and encoded is not None:
                ids = torch.from_numpy(stored_ids[row : row + 1].astype(np.int64)).to(device)
                moved.append((encoded != ids).float().mean().item())
            again = decodings.again(original, ids, budget)
        error = float(mse(again, original.pixels))
        if abs(error - stored[row, column]) > tolerance * error + 1e-7:
            wrong.append(
                f"image {row} at budget {budget} decodes to an MSE of {error}, the bank "
                f"holds {stored[row, column]}: decoding is not deterministic here"
            )
    # A latent at a rounding boundary may take the other code, depending on the batch; few do. Where
    # tokens are not nested, errors are those of tokens encoded again, and may differ with them.
    if len(wrong) > (SPOT_MOVED * len(moved) if decodings.facts.nested is False else 0):
        raise RuntimeError(wrong[0])
    if moved and np.mean(moved) > SPOT_MOVED:
        raise RuntimeError(
            f"{np.mean(moved):.0%} of the sampled tokens differ when encoded again: "
            "encoding is not deterministic here"
        )
