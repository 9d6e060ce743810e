"""Words and rows on a fixed length of a tokenizer that is not trained here: tokens, bits, verdict."""

from __future__ import annotations

from typing import Any

from bench.compare.paired import Difference
from bench.statistics.bootstrap import BootstrapInterval
from reports.analysis.contests import Contest
from reports.analysis.systems import System
from reports.paper.shares import show_p, show_share
from reports.paper.text import show_interval, show_percent

EQUAL_BITS = 0.01


def over_words(contest: Contest) -> str:
    """How the two sides are paired."""
    if contest.foreign is None:
        return f"paired by {contest.repetitions.removesuffix('s')}"
    return (
        f"paired by image: 95 % BCa bootstrap over images of the mean over {contest.repetitions}; "
        "a Frechet distance has no value by image"
    )


def verdict_line(contest: Contest, primary: Difference, words: str, *, tests: int) -> str:
    """The verdict on distortion, with what its interval is over and what it does not cover."""
    tokens = contest.adaptive.interval("mean_tokens")
    spent = "" if tokens is None else f" ({tokens.mean:.2f} and {contest.lengths[contest.paired[0]]})"
    seeds = _count(len(primary.seeds), contest.repetitions)
    share = show_share(primary.share, alone=f"{seeds}, no interval")
    line = (
        f"Verdict (distortion, declared primary): {words}. Adaptive has {share} distortion against "
        f"{contest.fixed.label} at the same mean number of tokens{spent}"
    )
    if isinstance(primary.interval, BootstrapInterval):
        line += f", over {primary.interval.n} images, {seeds}"
    if primary.over_seeds is not None:
        line += f" ({show_share(primary.share_over_seeds)} over these, which must show it, too)"
    if primary.interval is not None and primary.interval.n > 1:
        line += f", p = {show_p(primary.p)} after Holm over {tests} metrics"
    return f"{line}. {contest.fixed.label} was not trained here: other weights of it may differ."


def bits_line(contest: Contest) -> str:
    """Whether equal tokens are equal bits."""
    ours, theirs = (_mean(side, "bits") for side in (contest.adaptive, contest.fixed))
    if ours is None or theirs is None:
        return "Bits: not known of both sides."
    if abs(ours / theirs - 1) <= EQUAL_BITS:
        return f"Bits are equal, too: {ours:.4g} and {theirs:.4g} an image."
    more = show_percent(ours / theirs - 1, sign=True)
    return (
        f"Equal tokens are not equal bits: the adaptive side spends {ours:.4g} bits an image, "
        f"{contest.fixed.label} {theirs:.4g} ({more})."
    )


def spending_rows(contest: Contest) -> list[dict[str, Any]]:
    """Tokens and bits of both sides."""
    sides = {f"adaptive: {contest.adaptive.label}": contest.adaptive, contest.fixed.label: contest.fixed}
    return [
        {
            "side": name,
            "tokens": show_interval(side.interval("mean_tokens")),
            "bits per token": _mean(side, "bits_per_token"),
            "bits per image": _mean(side, "bits"),
        }
        for name, side in sides.items()
    ]


def _mean(side: System, metric: str) -> float | None:
    over = side.interval(metric)
    return None if over is None else over.mean


def _count(number: int, name: str) -> str:
    return f"{number} {name.removesuffix('s') if number == 1 else name}"
