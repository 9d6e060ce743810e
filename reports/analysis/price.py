"""Price of being elastic: of a suite's arms, in words, and over the length of training.

`bench.compare.price` defines it, `bench.compare.prices` says which tokenizers meet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.compare import paired, price
from bench.compare.elastic_arms import BUDGETS, COST, series_of
from bench.compare.paired import Difference
from bench.compare.price import PARTS, Parts, Ratio, ratio
from bench.compare.price import parts as parts_of
from bench.compare.price_block import percent
from bench.compare.prices import Price, Prices, prices
from bench.files import canonical_json
from bench.records.settings_paths import flatten, is_seed
from bench.suite.labels import arm_and_sweep
from reports.analysis.contests import Contest
from reports.analysis.groups import Record, done_records, reconstructions
from reports.analysis.systems import PRIMARY
from reports.paper.marks import SINGLE, ends
from reports.paper.text import show_share

JUDGED = ("net", "oracle")
ONE_SEED = (paired.ONE_SEED, price.ONE_SEED)
WORDS = {-1: "adaptive better", 1: "fixed better", 0: "not distinguishable at this n"}
SIDES = ("fixed", "elastic", "policy", "oracle")
HALF_AGAIN = math.log2(1.5)  # Half as much training again, in doublings.
FLAT = -0.01
SPARE_TOKENS = 0.1  # Means that differ by less count as equal.


def suite_prices(records: Sequence[Record]) -> Prices:
    """The prices of a suite's records; those without a result say why something is missing.

    Raises:
        UserError: the protocols of the records differ.
    """
    done_records(records)
    return prices(reconstructions(records))


def parts(contest: Contest, metric: str = PRIMARY) -> Parts:
    """What a contest's difference to the fixed length is made of, in one metric."""
    return parts_of(
        policy=contest.adaptive.values(metric),
        agnostic=contest.control("agnostic").values(metric),
        oracle=contest.control("oracle").values(metric),
        fixed=contest.fixed.values(metric),
    )


def decomposition(contest: Contest) -> list[str]:
    """The same in words; nothing where the controls or the fixed-length tokenizers are missing."""
    of = parts(contest)
    if any(getattr(of, name).interval is None for name in PARTS):
        return []
    shown = {name: show_share(getattr(of, name).share, alone=contest.alone) for name in PARTS}
    return [
        f"Where it comes from (distortion, ratios over seeds): being elastic {shown['price']} "
        f"(agnostic mixture over the fixed-length tokenizer), choosing by image {shown['gain']}, "
        f"of {shown['possible']} that the oracle would gain; (1 + price) (1 + gain) = 1 + net: "
        f"{shown['net']}.",
        f"The oracle's allocation of the elastic tokenizer over the fixed-length tokenizer: "
        f"{shown['oracle']}: {_can_close(contest, of.oracle)}",
    ]


def _can_close(contest: Contest, oracle: Ratio) -> str:
    if oracle.n == 1:
        one = contest.repetitions.removesuffix("s")
        return f"one {one}, so whether choosing could win is open."
    if oracle.direction < 0:
        return "choosing by image can beat it, with an allocator close enough to the oracle."
    if oracle.direction > 0:
        return "no allocation of this elastic tokenizer can win; only a better tokenizer could."
    return "whether any allocation could win is not distinguishable at this n."


def price_lines(records: Sequence[Record]) -> list[str]:
    """The price in a sentence, of the suite's first elastic arm; of the best one in another.

    Empty where no elastic tokenizer meets one that is trained for a single length.
    """
    found = suite_prices(records).found
    at_means = [
        row for row in found if row.parts is not None and row.parts.net.interval is not None
    ]
    if not at_means:
        first = [row for row in found if row.arm == found[0].arm]
        return [_budgets_sentence(first)] if first else []
    first = at_means[0]
    # More tokens than the other side's would win by themselves.
    equal = [row for row in at_means if row.tokens <= max(row.lengths) + SPARE_TOKENS] or [first]
    judged = [row for row in equal if row.parts.net.n > 1] or equal
    best = min(judged, key=lambda row: row.parts.net.interval.mean)
    lines = [mean_sentence(first)]
    if best is not first:
        lines.append(f"The least of {len(judged)}: {mean_sentence(best)}")
    return lines


def mean_sentence(row: Price) -> str:
    """The price at a policy's mean, the gain of choosing, and who is ahead, in one sentence."""
    of, alone = row.parts, row.parts.net.n == 1
    show = percent if alone else show_share
    shown = {name: show(getattr(of, name).share) for name in PARTS}
    said = {name: "" if alone else f": {verdict_words(getattr(of, name))}" for name in JUDGED}
    possible = (
        f"; the oracle's choice {shown['oracle']}{said['oracle']}"
        if of.oracle.interval is not None
        else ""
    )
    return (
        f"Price of being elastic ({row.allocation}, {row.tokens:.3g} against {lengths(row)} "
        f"tokens, {row.cost.words}, {_seeds(row)}{': no verdict' if alone else ''}): "
        f"{shown['price']} distortion; choosing by image {shown['gain']}; "
        f"together {shown['net']}{said['net']}{possible}."
    )


def _budgets_sentence(rows: Sequence[Price]) -> str:
    words = [row.price.verdict for row in rows]
    each = ", ".join(f"{show_share(row.price.share)} {row.place}" for row in rows)
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    costs = "; ".join(dict.fromkeys(row.cost.words for row in rows))
    return (
        f"Price of being elastic ({rows[0].arm}, {costs}, {_seeds(rows[0])}): distortion {each}; "
        f"{counts} (5 %, p corrected by Holm)."
    )


def verdict_words(one: Difference) -> str:
    """`adaptive better`, `fixed better` or `not distinguishable at this n`, or why neither."""
    if one.interval is None:
        return "no value of both"
    if one.interval.n == 1:
        return f"{'one seed' if one.reason in ONE_SEED else 'no interval'}: no verdict"
    return WORDS[one.direction]


def percents(one: Ratio) -> list[tuple[Any, ...]]:
    """Rows of a figure's data, in %: of each seed where there are several, and their mean."""
    if one.share is None:
        return []
    seeds = [("seed", seed, 100 * value, *SINGLE) for seed, value in one.shares.items()]
    return [*(seeds if one.n > 1 else []), ("mean", None, *ends(one.share, times=100))]


def lengths(row: Price) -> str:
    """`6`; `5 or 6` where seeds have other lengths."""
    return " or ".join(map(str, row.lengths))


def _seeds(row: Price) -> str:
    n = row.price.n
    return "one training seed" if n == 1 else f"n = {n} training seeds"


@dataclass(frozen=True)
class Change:
    """The change of one side's distortion from a training of `start` steps to one of `end`."""

    side: str
    start: int
    end: int
    per_doubling: Ratio

    @property
    def from_half_again(self) -> Ratio:
        """The change that half as much training again brings, on a straight line of logarithms."""
        return self.per_doubling.powered(HALF_AGAIN)

    @property
    def words(self) -> str:
        """Whether half as much again gains less than 1 %."""
        share = self.from_half_again.share
        if share is None:
            return "no seed in common"
        if share.n == 1:
            return "less than 1 % (one seed)" if share.mean > FLAT else "1 % or more (one seed)"
        if share.low > FLAT:
            return "less than 1 %"
        return "1 % or more" if share.high <= FLAT else "open at this n"


@dataclass(frozen=True)
class Course:
    """One elastic recipe at several lengths of training, shortest first, at one place."""

    label: str
    rows: tuple[Price, ...]

    @property
    def budget(self) -> int | None:
        """The budget; None at the mean of a policy."""
        return self.rows[0].budget

    def changes(self) -> list[Change]:
        """Changes of each side between neighbours; a fixed side of other lengths has none."""
        found = []
        for side in SIDES:
            for one, other in zip(self.rows, self.rows[1:], strict=False):
                if side == "fixed" and one.lengths != other.lengths:
                    continue
                whole = ratio(other.sides.get(side, {}), one.sides.get(side, {}))
                if whole.interval is not None:
                    doublings = math.log2(other.steps / one.steps)
                    change = whole.powered(1 / doublings)
                    found.append(Change(side, one.steps, other.steps, change))
        return found


def courses(found: Sequence[Price]) -> list[Course]:
    """Rows of equal cost that differ in it alone, where there are two or more lengths."""
    courses: list[tuple[str, list[Price]]] = []
    for row in found:
        if not (row.cost.equal_steps or row.cost.equal_passes):
            continue
        key = _course_key(row)
        for known, rows in courses:
            if known == key and row.steps not in [one.steps for one in rows]:
                rows.append(row)
                break
            if known == key and not row.cost.equal_steps:
                break  # A second partner at a length that has one of equal steps.
        else:
            courses.append((key, [row]))
    ordered = [sorted(rows, key=lambda row: row.steps) for _, rows in courses]
    return [Course(_label(rows[0]), tuple(rows)) for rows in ordered if len(rows) > 1]


def _course_key(row: Price) -> str:
    policy = row.record.setting("policy") if row.parts is not None else None
    chosen = {p: v for p, v in flatten({"policy": policy}) if not is_seed(p)}
    return canonical_json([series_of(row.record), chosen, row.budget])


def _label(row: Price) -> str:
    swept = {
        path: value
        for path, value in row.record.swept.items()
        if path != BUDGETS and path.rsplit(".", 1)[-1] not in COST
    }
    return arm_and_sweep(row.record.arm, swept)
