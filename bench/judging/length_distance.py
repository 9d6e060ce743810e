"""How far the lengths of generated images are from those of the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.records.sections.generation import LengthDistance

LEVEL = 0.95
RESAMPLES = 4000


def length_distances(
    generated: np.ndarray, data: np.ndarray, *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, dict[str, Any]]:
    """Total variation (a share of the images) and Wasserstein-1 (tokens), by name.

    Args:
        generated: lengths `[n]`.
        data: lengths `[m]`.
        seed: of the bootstrap over images, of both sides.
        resamples: how many.
    """
    lengths = np.unique(np.concatenate([generated, data]))
    a, b = ((x[:, None] == lengths).sum(0) for x in (generated, data))
    rng = np.random.default_rng(seed)

    def drawn(shares: np.ndarray, count: int) -> np.ndarray:
        return rng.multinomial(count, shares, size=resamples) / count

    n, m = len(generated), len(data)
    pooled = (a + b) / (n + m)
    observed = a / n - b / m
    moved = drawn(a / n, n) - drawn(b / m, m) - observed
    by_chance = drawn(pooled, n) - drawn(pooled, m)
    return {
        name: _distance(distance(observed).item(), distance(moved), distance(by_chance)).plain()
        for name, distance in (
            ("total_variation", total_variation),
            ("wasserstein_1", lambda change: wasserstein_1(change, lengths)),
        )
    }


def total_variation(change: np.ndarray) -> np.ndarray:
    """Half the absolute sum of differences of shares `[..., M]`: who has to change length."""
    moved: np.ndarray = np.abs(change).sum(-1)
    return moved / 2


def wasserstein_1(change: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Tokens by which an image has to change on average, of differences of shares `[..., M]`."""
    tokens: np.ndarray = np.abs(np.cumsum(change, -1)[..., :-1]) @ np.diff(lengths)
    return tokens


def _distance(value: float, moved: np.ndarray, by_chance: np.ndarray) -> LengthDistance:
    """A distance, and its interval over images, of at least 95 % confidence.

    Two samples of one distribution lie apart too: by `chance` on average, and `p` is the share of
    such samples that lie as far apart as these. A percentile interval would never hold 0. So the
    interval reaches as far to both sides as 95 % of resampled differences of the shares lie from
    the observed ones: by the triangle inequality the distance has moved by no more than that.
    """
    reach = float(np.quantile(moved, LEVEL))
    return LengthDistance(
        value=value,
        low=max(0.0, value - reach),
        high=value + reach,
        chance=float(by_chance.mean()),
        p=float((by_chance >= value - 1e-12).mean()),
    )
