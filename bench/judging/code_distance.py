"""How far the codes of generated images are from those of real ones: CHD.

The codebook histogram distance of Jia et al. (2026, arXiv 2603.08064) is the Hellinger distance of
two histograms of codes, all tokens of all images pooled, as in the authors' code (their paper's
tokenizer sees pictures again; here a sample's own tokens are counted). Beside it, one per position,
which the pooled one cannot see: codes in the wrong place.

Histograms of finite samples lie apart by chance, the more the more codes there are. So each
distance has that of real images of another set and of the same number beside it: what the samples
of a perfect generator would come to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.records.sections.code_histograms import CodeHistograms, PositionDistance


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes `[n, N, Q]`, of whose `N` tokens an image has the first `lengths [n]`."""

    values: np.ndarray
    lengths: np.ndarray

    @property
    def pooled(self) -> np.ndarray:
        """Codes `[t, Q]` of all tokens."""
        tokens: np.ndarray = self.values[np.arange(self.values.shape[1]) < self.lengths[:, None]]
        return tokens

    def at(self, position: int) -> np.ndarray:
        """Codes `[m, Q]` of the images that have a token there, the first one at 0."""
        there = self.lengths > position
        tokens: np.ndarray = self.values[there, position if there.any() else 0]
        return tokens


def hellinger(one: np.ndarray, other: np.ndarray) -> float:
    """Hellinger distance, in `[0, 1]`, of the histograms of codes `[t, Q]` and `[s, Q]`.

    Of parts of a token, the mean over parts: their joint histogram would be nearly empty.

    Raises:
        ValueError: a side is empty.
    """
    if not len(one) or not len(other):
        raise ValueError("a histogram needs one code or more")
    return float(np.mean([_hellinger(*sides) for sides in zip(one.T, other.T, strict=True)]))


def _hellinger(one: np.ndarray, other: np.ndarray) -> float:
    _, places = np.unique(np.concatenate([one, other]), return_inverse=True)
    shares = [
        np.bincount(part, minlength=places.max() + 1) / len(part)
        for part in (places[: len(one)], places[len(one) :])
    ]
    change = np.sqrt(shares[0]) - np.sqrt(shares[1])
    return float(np.sqrt((change @ change) / 2))


def code_histograms(samples: Codes, stand_ins: Codes, data: Codes) -> CodeHistograms:
    """Distances of `samples` from `data`, and of the `stand_ins`, real images too, beside them.

    Positions that one of the three has nowhere have no distance.
    """
    sides = samples, stand_ins, data
    rows = []
    for position in range(int(max(side.lengths.max() for side in sides))):
        own, floor, real = (side.at(position) for side in sides)
        known = min(map(len, (own, floor, real))) > 0
        rows.append(
            PositionDistance(
                position=position + 1,
                n=len(own),
                n_data=len(real),
                distance=hellinger(own, real) if known else None,
                reconstructions=hellinger(floor, real) if known else None,
            )
        )
    own, floor, real = (side.pooled for side in sides)
    return CodeHistograms(
        tokens=len(own),
        tokens_data=len(real),
        distance=hellinger(own, real),
        reconstructions=hellinger(floor, real),
        by_position=tuple(rows),
    )
