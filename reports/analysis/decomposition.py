"""Parts of a difference to a fixed-length tokenizer, and whether choosing could close it."""

from __future__ import annotations

from bench.compare.paired import Difference
from reports.analysis.contests import Contest
from reports.analysis.systems import PRIMARY, difference
from reports.paper.shares import show_share


def parts(contest: Contest, metric: str = PRIMARY) -> dict[str, Difference]:
    """Differences in one metric, as shares of the fixed-length tokenizer's mean.

    `elastic`: the agnostic mixture minus the fixed-length tokenizer; `gain`: the adaptive side
    minus that mixture; `possible`: the oracle minus the mixture; `oracle`: the oracle minus the
    fixed-length tokenizer.
    """
    fixed = contest.fixed
    agnostic, oracle = contest.control("agnostic"), contest.control("oracle")
    whole = difference(contest.adaptive, fixed, metric).whole
    return {
        "elastic": difference(agnostic, fixed, metric, whole=whole),
        "gain": difference(contest.adaptive, agnostic, metric, whole=whole),
        "possible": difference(oracle, agnostic, metric, whole=whole),
        "oracle": difference(oracle, fixed, metric, whole=whole),
    }


def decomposition(contest: Contest) -> list[str]:
    """In words; nothing where the controls or the fixed-length tokenizers are missing."""
    of = parts(contest)
    if any(part.interval is None for part in of.values()):
        return []
    shown = {name: show_share(part.share, alone=contest.alone) for name, part in of.items()}
    return [
        f"Where it comes from (distortion): being elastic {shown['elastic']} (agnostic mixture "
        f"minus the fixed-length tokenizer), choosing by image {shown['gain']}, of "
        f"{shown['possible']} that the oracle would gain.",
        f"The oracle's allocation of the elastic tokenizer minus the fixed-length tokenizer: "
        f"{shown['oracle']}: {_can_close(contest, of['oracle'])}",
    ]


def _can_close(contest: Contest, oracle: Difference) -> str:
    if oracle.interval.n == 1:
        one = contest.repetitions.removesuffix("s")
        return f"one {one}, so whether choosing could win is open."
    if oracle.direction < 0:
        return "choosing by image can beat it, with an allocator close enough to the oracle."
    if oracle.direction > 0:
        return "no allocation of this elastic tokenizer can win; only a better tokenizer could."
    return "whether any allocation could win is not distinguishable at this n."
