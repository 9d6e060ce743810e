"""One difference between two systems: paired by seed, with its interval, p and verdict."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, TypeVar

from bench.statistics.bootstrap import BootstrapInterval
from bench.statistics.intervals import PairedDifference, StudentInterval, holm, paired_difference
from bench.statistics.power import minimum_detectable_effect

LEVEL = 0.05
Either = PairedDifference | BootstrapInterval
VERDICTS = ("worse", "better", "no difference shown")
NO_SEED = "no seed in common with a value"
ONE_SEED = "one training each: no interval"


@dataclass(frozen=True)
class Difference:
    """`ours` minus `theirs`, values by seed, of something that is the better the higher or lower.

    `interval` is of the mean difference: over the seeds that both have, or over images where those
    of one training stand in for seeds. Without it, or with one seed, `reason` says why there is no
    verdict. `p` is the interval's until `corrected` makes it Holm's. Shares are of `whole`.
    `over_seeds` is a second interval beside one over images, where both count; `p` is the larger.
    """

    ours: Mapping[Any, float] = field(default_factory=dict)
    theirs: Mapping[Any, float] = field(default_factory=dict)
    interval: Either | None = None
    p: float = math.nan
    whole: float = math.nan
    higher_is_better: bool = False
    reason: str = ""
    over_seeds: Either | None = None

    @property
    def seeds(self) -> list[Any]:
        """Seeds that have a value of both."""
        return [seed for seed in self.ours if seed in self.theirs]

    @property
    def means(self) -> tuple[float, float] | None:
        """Means of ours and of theirs over the seeds that both have; None where there are none."""
        if not self.seeds:
            return None
        return fmean(self.ours[s] for s in self.seeds), fmean(self.theirs[s] for s in self.seeds)

    @property
    def by_seed(self) -> dict[Any, float]:
        """The difference of each seed."""
        return {seed: self.ours[seed] - self.theirs[seed] for seed in self.seeds}

    @property
    def shares(self) -> dict[Any, float]:
        """The difference of each seed as a share."""
        return {seed: value / self.whole for seed, value in self.by_seed.items()}

    @property
    def share(self) -> StudentInterval | None:
        """The mean difference and its interval as shares; None where there is no interval."""
        return _as_share(self.interval, self.whole)

    @property
    def share_over_seeds(self) -> StudentInterval | None:
        """Likewise of the second interval."""
        return _as_share(self.over_seeds, self.whole)

    @property
    def direction(self) -> int:
        """-1 or 1 where the difference is significant at 5 %, and its sign; else 0."""
        if self.interval is None or not self.p <= LEVEL:
            return 0
        return int(math.copysign(1, self.interval.mean))

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`, of ours against theirs at 5 %; or the reason for none of them."""
        if self.reason:
            return self.reason
        if self.direction == 0:
            return "no difference shown"
        return "better" if (self.direction > 0) == self.higher_is_better else "worse"

    @property
    def reversed(self) -> Difference:
        """`theirs` minus `ours`; shares are of the mean of `ours`."""
        return replace(
            self,
            ours=self.theirs,
            theirs=self.ours,
            whole=math.nan if self.means is None else self.means[0],
            interval=self.interval and _negative(self.interval),
            over_seeds=self.over_seeds and _negative(self.over_seeds),
        )

    @property
    def detectable(self) -> float:
        """Minimum detectable effect over seeds; NaN over images."""
        if not isinstance(self.interval, PairedDifference):
            return math.nan
        return minimum_detectable_effect(self.interval.sd, self.interval.n)


Some = TypeVar("Some", bound=Difference)


def _negative(one: Either) -> Either:
    return replace(one, mean=-one.mean, low=-one.high, high=-one.low)


def _as_share(one: Either | None, whole: float) -> StudentInterval | None:
    if one is None:
        return None
    return StudentInterval(one.mean / whole, one.low / whole, one.high / whole, one.n)


def difference(
    ours: Mapping[Hashable, float],
    theirs: Mapping[Hashable, float],
    *,
    higher_is_better: bool = False,
    whole: float | None = None,
) -> Difference:
    """The difference of two finite values by seed, its `p` not corrected.

    Seeds that only one of the two has are left out. Shares are of `whole`, by default the mean of
    `theirs` over the common seeds.
    """
    found = Difference(ours, theirs, higher_is_better=higher_is_better)
    if not found.seeds:
        return replace(found, reason=NO_SEED)
    paired = paired_difference(ours, theirs)
    if whole is None:
        whole = sum(theirs[seed] for seed in found.seeds) / paired.n
    reason = ONE_SEED if paired.n == 1 else ""
    return replace(found, interval=paired, p=paired.p, whole=whole, reason=reason)


def corrected(differences: Sequence[Some]) -> list[Some]:
    """A family of differences with Holm's `p`; those without a `p` are no members of it."""
    adjusted = holm([one.p for one in differences])
    return [replace(one, p=p) for one, p in zip(differences, adjusted, strict=True)]
