"""Controls at a matched average budget: the agnostic mixture, the oracle, and allocation skill.

Inputs throughout: a distortion table `d [n, M]` (images x candidate budgets, lower is better) and
the candidate budgets `b [M]`, strictly increasing. An allocation is `[n]` indices into `b`. Budgets
are compared at exactly the same mean number of tokens, also where more tokens make an image worse.
"""

import math
from dataclasses import dataclass

import numpy as np

from bench.errors import UserError

COLLAPSE_SHARE = 0.995


@dataclass(frozen=True)
class TradeOff:
    """A convex curve: mean distortion `[K]` over mean tokens `[K]`, linear between vertices."""

    tokens: np.ndarray
    distortion: np.ndarray

    def at(self, mean_tokens: float) -> float:
        """Distortion at a mean number of tokens.

        Raises:
            UserError: outside the range of the candidate budgets.
        """
        mean_tokens = require_within(mean_tokens, self.tokens[0], self.tokens[-1])
        return float(np.interp(mean_tokens, self.tokens, self.distortion))


def lower_hull(budgets: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Indices `[K]` of the vertices of the lower convex hull of one curve `[M]`, ends included."""
    return np.flatnonzero(_hull_vertices(budgets, np.asarray(distortion)[None])[0])


def agnostic_curve(d: np.ndarray, b: np.ndarray) -> TradeOff:
    """The best mixes of budgets that ignore the image: the hull of the mean curve."""
    d, b = _checked(d, b)
    mean = d.mean(axis=0)
    hull = lower_hull(b, mean)
    return TradeOff(b[hull].astype(np.float64), mean[hull])


def oracle_curve(d: np.ndarray, b: np.ndarray) -> TradeOff:
    """The least mean distortion any allocation, or mix of allocations, reaches at its mean tokens.

    Equal slope (Shoham & Gersho 1988): the segments of all per-image hulls, steepest descent first.
    """
    d, b = _checked(d, b)
    segments = _sorted_segments(d, b)
    tokens = _cumulated(len(d) * b[0], segments.tokens) / len(d)
    return TradeOff(tokens, _cumulated(d[:, 0].sum(), segments.distortion) / len(d))


def oracle_allocation(d: np.ndarray, b: np.ndarray, mean_tokens: float) -> np.ndarray:
    """The oracle's allocation `[n]` at the last of its vertices not above `mean_tokens`.

    Its mean falls short of the request by less than the widest budget step / n.

    Raises:
        UserError: `mean_tokens` outside the candidate budgets.
    """
    d, b = _checked(d, b)
    mean_tokens = require_within(mean_tokens, b[0], b[-1])
    segments = _sorted_segments(d, b)
    totals = _cumulated(len(d) * b[0], segments.tokens)
    spend = mean_tokens * len(d) * (1 + 1e-12)  # a mean times n may round below its own sum
    taken = np.searchsorted(totals, spend, side="right") - 1
    chosen = np.zeros(len(d), dtype=np.int64)
    np.maximum.at(chosen, segments.image[:taken], segments.end[:taken])
    return chosen


def fixed_allocation(
    b: np.ndarray, n: int, mean_tokens: float, rng: np.random.Generator
) -> np.ndarray:
    """A fixed length for `n` images: one candidate budget, or a mix of the two next to the request.

    Which image gets which is random, the shares are exact: the mean is within half a step between
    the two budgets / n.

    Raises:
        UserError: `mean_tokens` outside the candidate budgets.
    """
    b = np.asarray(b)
    mean_tokens = require_within(mean_tokens, b[0], b[-1])
    upper = int(np.searchsorted(b, mean_tokens))
    chosen = np.full(n, upper)
    if upper > 0:
        low, high = b[upper - 1], b[upper]
        cheaper = round(n * (high - mean_tokens) / (high - low))
        chosen[rng.permutation(n)[:cheaper]] = upper - 1
    return chosen


def shuffled_allocation(chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same budgets, permuted at random over the images."""
    return rng.permutation(chosen)


def skill_at(d: np.ndarray, b: np.ndarray, *, tokens: float, reached: float) -> float:
    """(D_agnostic(t) - reached) / (D_agnostic(t) - D_oracle(t)) at `tokens` t per image.

    0 is no better than ignoring the image, 1 the oracle, negative is harm. NaN where ignoring the
    image loses nothing (the denominator is below 1e-9 of the mean distortion): at the smallest and
    the largest budget, or where all images have one curve; and outside the candidate budgets.
    """
    d, b = _checked(d, b)
    if not b[0] <= tokens <= b[-1]:
        return math.nan
    agnostic = agnostic_curve(d, b).at(tokens)
    possible = agnostic - oracle_curve(d, b).at(tokens)
    if possible <= 1e-9 * np.abs(d).mean():
        return math.nan
    return float((agnostic - reached) / possible)


def allocation_skill(d: np.ndarray, b: np.ndarray, chosen: np.ndarray) -> float:
    """`skill_at` the mean tokens of an allocation, of the distortion that it reaches."""
    d, b = _checked(d, b)
    reached = d[np.arange(len(d)), chosen].mean()
    return skill_at(d, b, tokens=float(b[chosen].mean()), reached=float(reached))


def expected_skill(d: np.ndarray, b: np.ndarray, chosen: np.ndarray) -> float:
    """The mean of `allocation_skill` over all permutations of `chosen` over the images, exactly.

    Never positive: budgets in these shares that ignore the image lie on or above the agnostic
    curve.
    """
    d, b = _checked(d, b)
    reached = budget_shares(chosen, len(b)) @ d.mean(axis=0)
    return skill_at(d, b, tokens=float(b[chosen].mean()), reached=float(reached))


def budget_shares(chosen: np.ndarray, candidates: int) -> np.ndarray:
    """Share `[M]` of the images that each of the `candidates` budgets got."""
    return np.bincount(chosen, minlength=candidates) / len(chosen)


def is_collapsed(chosen: np.ndarray, candidates: int, threshold: float = COLLAPSE_SHARE) -> bool:
    """Whether one budget takes more than `threshold` of the images: a fixed length in disguise."""
    return bool(budget_shares(chosen, candidates).max() > threshold)


def require_within(mean_tokens: float, low: float, high: float) -> float:
    """`mean_tokens`, with rounding at the ends of the range forgiven.

    Raises:
        UserError: outside `low` to `high`.
    """
    if not low * (1 - 1e-9) <= mean_tokens <= high * (1 + 1e-9):
        raise UserError(
            f"mean budget {mean_tokens:g} lies outside the candidate budgets {low:g} to {high:g}; "
            "ask for one between them"
        )
    return float(np.clip(mean_tokens, low, high))


@dataclass(frozen=True)
class _Segments:
    """Edges `[S]` of all images' hulls by increasing slope: what each adds, and to which image."""

    image: np.ndarray
    end: np.ndarray
    tokens: np.ndarray
    distortion: np.ndarray


def _sorted_segments(d: np.ndarray, b: np.ndarray) -> _Segments:
    image, vertex = np.nonzero(_hull_vertices(b, d))
    edge = image[1:] == image[:-1]
    image, start, end = image[1:][edge], vertex[:-1][edge], vertex[1:][edge]
    tokens, distortion = b[end] - b[start], d[image, end] - d[image, start]
    slope = np.full(d.shape, -np.inf)
    slope[image, end] = distortion / tokens
    # Rounding must not put an image's later segment before its earlier one.
    slope = np.maximum.accumulate(slope, axis=1)[image, end]
    order = np.argsort(slope, kind="stable")
    return _Segments(image[order], end[order], tokens[order], distortion[order])


def _hull_vertices(b: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Mask `[n, M]` of the vertices of each row's lower convex hull, by gift wrapping."""
    n, last = len(d), d.shape[1] - 1
    is_vertex = np.zeros(d.shape, dtype=bool)
    is_vertex[:, [0, last]] = True
    at = np.zeros(n, dtype=np.int64)
    rows = np.arange(n) if last else np.arange(0)
    while rows.size:
        here = at[rows]
        gap = np.asarray(b, dtype=np.float64) - np.asarray(b)[here, None]
        ahead = gap > 0
        slope = np.where(ahead, d[rows] - d[rows, here][:, None], np.inf)
        np.divide(slope, gap, out=slope, where=ahead)
        at[rows] = last - slope[:, ::-1].argmin(axis=1)  # the farthest of equal slopes
        is_vertex[rows, at[rows]] = True
        rows = rows[at[rows] < last]
    return is_vertex


def _cumulated(first: float, steps: np.ndarray) -> np.ndarray:
    return np.cumsum(np.concatenate([[first], steps]))


def _checked(d: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    d, b = np.asarray(d, dtype=np.float64), np.asarray(b)
    if d.ndim != 2 or len(d) == 0 or b.shape != d.shape[1:]:
        raise ValueError(f"expected distortion [n, M] and budgets [M], not {d.shape}, {b.shape}")
    if not np.isfinite(d).all():
        raise ValueError("the distortion table holds values that are not finite")
    if b.size == 0 or b[0] <= 0 or (np.diff(b) <= 0).any():
        raise ValueError(f"candidate budgets must be positive and increasing, not {b.tolist()}")
    return d, b
