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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.compare.paired import LEVEL
from bench.statistics.intervals import PairedDifference, StudentInterval, holm, paired_difference

METRIC = "mse"
PARTS = ("price", "gain", "net", "possible", "oracle")


@dataclass(frozen=True)
class Ratio:
    """Our distortion over theirs, minus 1, paired by seed: 0.16 is 16 % more.

    `logs` are logarithms of the ratio by seed, `over` their mean and interval; None without a seed
    that both have. `p` is that of no difference, uncorrected until `corrected_ratios`.
    """

    logs: Mapping[Any, float] = field(default_factory=dict)
    over: PairedDifference | None = None
    p: float = math.nan

    @property
    def share(self) -> StudentInterval | None:
        """The ratio minus 1 with its interval, NaN bounds with one seed; None without a seed."""
        one = self.over
        if one is None:
            return None
        return StudentInterval(
            math.expm1(one.mean), math.expm1(one.low), math.expm1(one.high), one.n
        )

    @property
    def shares(self) -> dict[Any, float]:
        """The ratio minus 1 of each seed."""
        return {seed: math.expm1(value) for seed, value in self.logs.items()}

    @property
    def n(self) -> int:
        """Number of seeds that both have."""
        return len(self.logs)

    @property
    def direction(self) -> int:
        """1 where more distortion is shown at 5 %, -1 where less is, else 0."""
        if self.over is None or not self.p <= LEVEL:
            return 0
        return int(math.copysign(1, self.over.mean))

    @property
    def verdict(self) -> str:
        """`worse`, `better`, `no difference shown`, or the reason for none of them."""
        if self.over is None:
            return "no seed in common"
        if self.n == 1:
            return "one seed: no interval"
        return {1: "worse", -1: "better", 0: "no difference shown"}[self.direction]

    def powered(self, exponent: float) -> Ratio:
        """The ratio to this power: of a change per doubling, that of a part of a doubling."""
        return from_logs({seed: exponent * value for seed, value in self.logs.items()})


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
    if not logs:
        return Ratio()
    over = paired_difference(logs, dict.fromkeys(logs, 0.0))
    return Ratio(logs, over, over.p)


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


def corrected_ratios(ratios: Sequence[Ratio]) -> list[Ratio]:
    """A family of ratios with Holm's `p`; those without a `p` are no members of it."""
    adjusted = holm([one.p for one in ratios])
    return [replace(one, p=p) for one, p in zip(ratios, adjusted, strict=True)]
