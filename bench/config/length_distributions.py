"""How many tokens each image of a throughput measurement has: named distributions of lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from adatok_core.choices import Choice, OneOf
from adatok_core.config.checks import Strict
from adatok_core.registry import Registry


@dataclass(frozen=True, kw_only=True)
class PolicyLengths(Strict):
    """The shares that the cell's policy gives the validation images."""

    kind: Literal["policy"] = "policy"

    longest = None


@dataclass(frozen=True, kw_only=True)
class ModelLengths(Strict):
    """As many as the trained generator decides."""

    kind: Literal["model"] = "model"

    longest = None


@dataclass(frozen=True, kw_only=True)
class TwoPointLengths(Strict):
    """`low` or `high` tokens, in the shares that make the `mean`."""

    kind: Literal["two_point"] = "two_point"
    low: int
    high: int
    mean: float

    def __post_init__(self) -> None:
        if not 1 <= self.low < self.high:
            raise ValueError(f"low, high: {self.low} and {self.high} must increase from 1 or more")
        _require_mean(self.mean, self.low, self.high)

    @property
    def longest(self) -> int:
        """The largest number of tokens."""
        return self.high

    def shares(self) -> dict[int, float]:
        """Share of each length."""
        upper = (self.mean - self.low) / (self.high - self.low)
        return {self.low: 1 - upper, self.high: upper}


@dataclass(frozen=True, kw_only=True)
class TiltedLengths(Strict):
    """The `candidates`, share of `b` in proportion to `exp(a b)` with the `a` that makes the mean.

    Of all distributions over the candidates with this `mean` it has the largest entropy: uniform
    where that has the mean, truncated geometric over consecutive numbers.
    """

    kind: Literal["tilted"] = "tilted"
    candidates: tuple[int, ...]
    mean: float

    def __post_init__(self) -> None:
        given = self.candidates
        if len(given) < 2 or given[0] < 1 or sorted({*given}) != list(given):
            raise ValueError(
                f"candidates: {list(given)} must be two or more that increase from 1 or more"
            )
        _require_mean(self.mean, given[0], given[-1])

    @property
    def longest(self) -> int:
        """The largest number of tokens."""
        return self.candidates[-1]

    def shares(self) -> dict[int, float]:
        """Share of each length."""
        lengths = np.array(self.candidates, dtype=np.float64)
        centred = (lengths - self.mean) / (lengths[-1] - lengths[0])
        low, high = -1e4, 1e4
        for _ in range(200):  # The mean grows with the tilt; halving ends at neighbouring floats.
            tilt = (low + high) / 2
            if _tilted(centred, tilt) @ centred < 0:
                low = tilt
            else:
                high = tilt
        return dict(zip(self.candidates, _tilted(centred, tilt).tolist(), strict=True))


def _tilted(values: np.ndarray, tilt: float) -> np.ndarray:
    exponents = tilt * values
    weights = np.exp(exponents - exponents.max())
    shares: np.ndarray = weights / weights.sum()
    return shares


def _require_mean(mean: float, low: int, high: int) -> None:
    if not low < mean < high:
        raise ValueError(f"mean: {mean:g} must lie between {low} and {high}")


LENGTHS: Registry[Choice] = Registry("lengths", group="adatok_bench.lengths", expects=Choice)
LENGTHS.add("policy", Choice(config=PolicyLengths, build=PolicyLengths))
LENGTHS.add("model", Choice(config=ModelLengths, build=ModelLengths))
LENGTHS.add("two_point", Choice(config=TwoPointLengths, build=TwoPointLengths))
LENGTHS.add("tilted", Choice(config=TiltedLengths, build=TiltedLengths))

LengthsConfig = Annotated[
    PolicyLengths | ModelLengths | TwoPointLengths | TiltedLengths, OneOf(LENGTHS)
]


def draw_lengths(shares: dict[int, float], count: int, *, seed: int) -> np.ndarray:
    """Lengths `[count]` in these shares, as exactly as whole images can be, in random order.

    Each share is rounded so that the counts sum up; images then move to a neighbouring length as
    long as that brings the mean nearer to the shares' own: it is within half of the narrowest step
    between two lengths, over `count`.

    Raises:
        ValueError: shares that do not sum to 1.
    """
    lengths, wanted = np.array(sorted(shares)), np.array([shares[k] for k in sorted(shares)])
    if abs(wanted.sum() - 1) > 1e-6 or wanted.min() < 0:
        raise ValueError(f"shares of lengths must sum to 1, not {wanted.sum():g}")
    counts = whole_counts(wanted, count)
    target = float(wanted @ lengths) * count
    while (move := _best_move(lengths, counts, wanted * count, target)) is not None:
        source, destination = move
        counts[source] -= 1
        counts[destination] += 1
    return np.random.default_rng(seed).permutation(np.repeat(lengths, counts))


def whole_counts(shares: np.ndarray, count: int) -> np.ndarray:
    """Counts `[M]` that sum to `count` nearest to the `shares [M]`: largest remainders first."""
    wanted = shares * count
    counts = np.floor(wanted + 1e-9).astype(np.int64)
    missing = np.argsort(counts - wanted, kind="stable")[: count - counts.sum()]
    counts[missing] += 1
    return counts


def _best_move(
    lengths: np.ndarray, counts: np.ndarray, wanted: np.ndarray, target: float
) -> tuple[int, int] | None:
    """The one image's step to a neighbouring length that brings the sum nearest to `target`.

    Among equals, from the length that has the most images too many to the one that lacks the most.
    """
    off, excess = float(counts @ lengths) - target, counts - wanted
    steps = [
        (abs(off + lengths[to] - lengths[at]), excess[to] - excess[at], at, to)
        for at in range(len(lengths))
        for to in (at - 1, at + 1)
        if counts[at] and 0 <= to < len(lengths)
    ]
    best = min(steps, default=(abs(off), 0.0, 0, 0))
    return best[2:] if best[0] < abs(off) - 1e-9 else None


def shares_of(lengths: np.ndarray) -> dict[int, float]:
    """Share of each length that occurs."""
    values, counts = np.unique(lengths, return_counts=True)
    return {int(v): float(c) / len(lengths) for v, c in zip(values, counts, strict=True)}
