"""Words and rows on fixed lengths of tokenizers that are not trained here."""

from __future__ import annotations

from typing import Any

from bench.compare.paired import Difference
from bench.compare.unseeded import is_unseeded
from bench.statistics.bootstrap import BootstrapInterval
from reports.analysis.contests import Contest
from reports.analysis.systems import System
from reports.paper.text import caption, said_p, show_interval, show_percent, show_share

EQUAL_BITS = 0.01


def over_words(contest: Contest) -> str:
    """How the two sides are paired."""
    if contest.foreign is None:
        return f"paired by {contest.repetitions.removesuffix('s')}"
    mean = f" of the mean over {contest.repetitions}" if len(contest.paired) > 1 else ""
    over = f"paired by image: {caption(BootstrapInterval)}{mean}"
    return f"{over}; a Frechet distance has no value by image"


def verdict_line(contest: Contest, primary: Difference, words: str, *, tests: int) -> str:
    """The verdict on distortion, with what its interval is over and what it does not cover."""
    tokens, length = contest.adaptive.mean("mean_tokens"), next(iter(contest.lengths.values()))
    spent = "" if tokens is None else f" ({tokens:.2f} and {length})"
    name = contest.repetitions
    seeds = f"{len(primary.seeds)} {name.removesuffix('s') if len(primary.seeds) == 1 else name}"
    seeds = "" if contest.is_seedless else f", {seeds}"
    share = show_share(primary.share, alone=contest.alone)
    line = (
        f"Verdict (distortion, declared primary): {words}. Adaptive has {share} distortion against "
        f"{contest.fixed.label} at the same mean number of tokens{spent}"
    )
    if isinstance(primary.interval, BootstrapInterval):
        line += f", over {primary.interval.n} images{seeds}"
    if primary.over_seeds is not None:
        line += f" ({show_share(primary.share_over_seeds)} over these, which must show it, too)"
    if primary.interval is not None and primary.interval.n > 1:
        line += f", {said_p(primary.p)} after Holm over {tests} metrics"
    return f"{line}. {contest.fixed.label} was not trained here: other weights of it may differ."


def bits_line(contest: Contest) -> str:
    """Whether equal tokens are equal bits."""
    ours, theirs = (side.mean("bits") for side in (contest.adaptive, contest.fixed))
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
    rows = []
    for name, side in (("adaptive", contest.adaptive), ("fixed length", contest.fixed_once)):
        row = {
            "side": f"{name}: {side.label}",
            "tokens": show_interval(side.interval("mean_tokens")),
            "bits per token": side.mean("bits_per_token"),
            "bits per image": side.mean("bits"),
        }
        rows.append(without_seed(row) if is_seedless(contest, side) else row)
    return rows


def is_seedless(contest: Contest, system: System) -> bool:
    """Whether nothing was trained for a system, so that it has no seeds."""
    if contest.foreign is None:
        return False
    return all(map(is_unseeded, system.records or contest.allocations))


def without_seed(row: dict[str, Any]) -> dict[str, Any]:
    """The row without words on its one seed."""
    texts = {k: v.removesuffix(" (one seed)") for k, v in row.items() if isinstance(v, str)}
    return {**row, **({"seeds": None} if "seeds" in row else {}), **texts}
