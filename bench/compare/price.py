"""Price of being elastic, gain of choosing, and their product: ratios of distortion over seeds.

D is a mean distortion (`METRIC`) over the validation images, of one training seed. With an elastic
tokenizer cut to k tokens, and one that was trained for exactly k with the same seed and images:

    price(k)  =  D_elastic(k) / D_fixed(k) - 1

With a policy on the elastic tokenizer, of mean tokens t, the fixed side is the tokenizer trained
for round(t); D_agnostic is of the best mixture of budgets of mean t that ignores the image, and
D_oracle of the best allocation of mean t that sees the result:

    price     =  D_agnostic / D_fixed - 1        being elastic
    gain      =  D_policy / D_agnostic - 1       choosing by image; negative is less distortion
    possible  =  D_oracle / D_agnostic - 1       what no allocation can beat
    net       =  D_policy / D_fixed - 1          (1 + price) (1 + gain) = 1 + net
    oracle    =  D_oracle / D_fixed - 1          (1 + price) (1 + possible) = 1 + oracle

Over seeds a ratio is the mean of its logarithms with their Student interval, both taken back by
exp(.) - 1: a geometric mean, so that the parts multiply to the net exactly, not seed by seed alone.
The parts of one net are over the seeds that have them all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.compare.paired import Difference, difference
from bench.statistics.intervals import StudentInterval

METRIC = "mse"
PARTS = ("price", "gain", "net", "possible", "oracle")
ONE_SEED = "one seed: no interval"


@dataclass(frozen=True)
class Ratio(Difference):
    """Our distortion over theirs, minus 1, paired by seed: a difference of logarithms.

    `ours` are logarithms of the ratio, `theirs` zeros; shares are of ratios: 0.16 is 16 % more.
    """

    @property
    def share(self) -> StudentInterval | None:
        """The ratio minus 1 with its interval, NaN bounds with one seed; None without a seed."""
        one = self.interval
        if one is None:
            return None
        mean, low, high = map(math.expm1, (one.mean, one.low, one.high))
        return StudentInterval(mean, low, high, one.n)

    @property
    def shares(self) -> dict[Any, float]:
        """The ratio minus 1 of each seed."""
        return {seed: math.expm1(value) for seed, value in self.ours.items()}

    @property
    def n(self) -> int:
        """Number of seeds that both have."""
        return len(self.ours)

    def powered(self, exponent: float) -> Ratio:
        """The ratio to this power: of a change per doubling, that of a part of a doubling."""
        return from_logs({seed: exponent * value for seed, value in self.ours.items()})


@dataclass(frozen=True)
class Parts:
    """The net difference of a policy to a fixed length, and the ratios that it is made of."""

    price: Ratio
    gain: Ratio
    net: Ratio
    possible: Ratio
    oracle: Ratio


def ratio(ours: Mapping[Any, float], theirs: Mapping[Any, float]) -> Ratio:
    """Our distortion over theirs, by the seeds that have a positive value of both."""
    both = [seed for seed in ours if seed in theirs and min(ours[seed], theirs[seed]) > 0]
    return from_logs({seed: math.log(ours[seed] / theirs[seed]) for seed in both})


def from_logs(logs: Mapping[Any, float]) -> Ratio:
    """The ratio of these logarithms by seed."""
    found = difference(logs, dict.fromkeys(logs, 0.0), whole=1.0)
    reason = {0: "no seed in common", 1: ONE_SEED}.get(len(logs), "")
    return Ratio(found.ours, found.theirs, found.interval, found.p, reason=reason)


def parts(
    *,
    policy: Mapping[Any, float],
    agnostic: Mapping[Any, float],
    oracle: Mapping[Any, float],
    fixed: Mapping[Any, float],
) -> Parts:
    """The parts of these distortions by seed, over the seeds that have all that any seed has."""
    sides = {"policy": policy, "agnostic": agnostic, "oracle": oracle, "fixed": fixed}
    given = [side for side in sides.values() if side]
    common = {seed for seed in fixed if all(seed in side for side in given)}
    p, a, o, f = ({s: v for s, v in side.items() if s in common} for side in sides.values())
    return Parts(
        price=ratio(a, f), gain=ratio(p, a), net=ratio(p, f), possible=ratio(o, a),
        oracle=ratio(o, f),
    )  # fmt: skip
