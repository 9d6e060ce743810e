"""Token ids with noise, as a generator's mistakes: whose decodings tell how robust a decoder is.

pFID (Qiu et al. 2025, arXiv 2503.08354) is the FID of such decodings. A share `alpha` of the tokens
is replaced, each by one of the `delta` codes nearest to its own, all alike likely and its own among
them. This follows the authors' perturbation of latents, with two differences: codes are near to the
token's own code, as in their text, not to the point before quantization, as in their code; and all
images are perturbed (their `beta` is 1). Their code of the metric, and so the alphas and deltas
that it averages over, is not public: values are comparable where these settings are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from adatok_core.quantizers.base import join_digits

_BLOCK = 2**24  # Distances that are held at a time.


@dataclass(frozen=True, eq=False)
class Draws:
    """Uniform numbers in `[0, 1)`, `[n, N]` each: whether a token is replaced, and by which.

    One draw serves all settings: what a small alpha replaces, a larger one does too, and a prefix
    has the noise of all tokens' beginning.
    """

    whether: np.ndarray
    which: np.ndarray

    @staticmethod
    def of(images: int, tokens: int, *, seed: int) -> Draws:
        """Those of a seed."""
        rng = np.random.default_rng(seed)
        return Draws(rng.random((images, tokens)), rng.random((images, tokens)))

    def perturbed(self, ids: np.ndarray, others: np.ndarray, *, alpha: float) -> np.ndarray:
        """Ids `[n, K]`, of which a share `alpha` is replaced by that of `others [n, K]`."""
        replaced: np.ndarray = np.where(self.whether[:, : ids.shape[1]] < alpha, others, ids)
        return replaced


def any_codes(draws: Draws, sizes: Sequence[int], *, tokens: int) -> np.ndarray:
    """Ids `[n, tokens]`, all alike likely; an id is made of parts of these `sizes`.

    A draw has 53 bits: of more ids than that the highest parts alone would be random.
    """
    which, parts = draws.which[:, :tokens], []
    for size in sizes:
        scaled = which * size
        parts.append(np.minimum(scaled.astype(np.int64), size - 1))
        which = scaled - np.floor(scaled)
    return join_digits(torch.from_numpy(np.stack(parts, -1)), sizes).numpy()


def near_codes(
    draws: Draws, ids: np.ndarray, *, neighbours: int, decode: Callable[[Tensor], Tensor], size: int
) -> np.ndarray:
    """Ids `[n, K]`: for each of `ids` one of its nearest, itself among them, all alike likely.

    Args:
        draws: of `n` images and `K` tokens or more.
        ids: those of all tokens.
        neighbours: how many are near, up to `size`.
        decode: gives the codes `[1, V, C]` of ids `[1, V]`; distances are Euclidean.
        size: how many ids there are.

    Raises:
        ValueError: there are fewer codes than neighbours.
    """
    if neighbours > size:
        raise ValueError(f"neighbours: {neighbours} exceeds the {size} codes")
    with torch.inference_mode():
        codes = decode(torch.arange(size)[None])[0].double().cpu()
        used, places = np.unique(ids, return_inverse=True)
        step = max(1, _BLOCK // size)
        near = torch.cat(
            [
                torch.cdist(codes[block], codes)
                .topk(neighbours, largest=False, sorted=True)[1]
                .int()
                for block in torch.from_numpy(used.astype(np.int64)).split(step)
            ]
        ).numpy()
    rank = np.minimum(
        (draws.which[:, : ids.shape[1]] * neighbours).astype(np.int64), neighbours - 1
    )
    chosen: np.ndarray = near[places.reshape(ids.shape), rank].astype(np.int64)
    return chosen
