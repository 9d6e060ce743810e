"""Adaptive against fixed lengths in words and rows: differences, verdict, controls."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from bench.compare.paired import Difference, corrected
from bench.metrics.declared import METRICS
from bench.records.tables import as_text
from bench.statistics.bootstrap import BootstrapInterval
from bench.statistics.power import minimum_detectable_effect, seeds_needed
from reports.analysis.contests import Contest
from reports.analysis.foreign_words import (
    bits_line,
    is_seedless,
    over_words,
    spending_rows,
    verdict_line,
    without_seed,
)
from reports.analysis.price import decomposition, verdict_words
from reports.analysis.systems import PRIMARY, System, shown_distances
from reports.paper.text import (
    said_p,
    show_interval,
    show_p,
    show_percent,
    show_share,
    show_significant,
)

POWER = 0.8
Differences = dict[str, Difference]  # By metric.


def contest_blocks(contest: Contest) -> list[str | list[str]]:
    """One comparison as blocks of text: by seed, differences, verdict, controls."""
    as_run, equal = differences(contest)
    seed = contest.repetitions.removesuffix("s")
    return [
        [f"{contest.label}: {_seeds(contest)}", *_warnings(contest)],
        _spending(contest),
        []
        if contest.is_seedless
        else [
            f"Adaptive minus fixed length by {seed}, in % of the fixed-length mean",
            as_text(seed_rows(contest, as_run)),
        ],
        [
            f"Adaptive minus fixed length, {over_words(contest)}; lower is better in all; p "
            "corrected by Holm over the metrics",
            as_text(
                [
                    *difference_rows(as_run, "as run", alone=contest.alone),
                    *difference_rows(equal, "made equal", alone=contest.alone),
                ]
            ),
            "tokens made equal: the adaptive side moved to exactly the fixed length, by as much as "
            "the best mixture of its own tokenizer's fixed budgets changes between the two (exact "
            "for means over images; for a Frechet distance an approximation)",
        ],
        [*verdict(contest, as_run, equal), *decomposition(contest)],
        [
            "All controls at the adaptive side's mean tokens, on the same elastic tokenizers; "
            "heuristics and other allocations at the tokens they came to. Means over "
            f"{contest.repetitions}",
            as_text(control_rows(contest)),
        ],
    ]


def differences(contest: Contest) -> tuple[Differences, Differences]:
    """Adaptive minus fixed length in every metric: as run, and at exactly equal tokens."""
    metrics = shown_distances([contest.adaptive, contest.fixed])
    as_run = [contest.difference(contest.adaptive, metric) for metric in metrics]
    equal = [contest.difference(contest.equal_tokens(m), m) for m in metrics]
    return _by_metric(metrics, as_run), _by_metric(metrics, equal)


def _by_metric(metrics: list[str], family: list[Difference]) -> Differences:
    return dict(zip(metrics, corrected(family), strict=True))


def verdict(contest: Contest, as_run: Differences, equal: Differences) -> list[str]:
    """The verdict on distortion, which was declared primary, and what the seeds could have seen."""
    primary = as_run.get(PRIMARY)
    if contest.foreign is not None and primary is not None and primary.interval is not None:
        tests = sum(not math.isnan(one.p) for one in as_run.values())
        first = verdict_line(contest, primary, verdict_words(primary), tests=tests)
        exact = _sensitivity(equal[PRIMARY]).replace("(one seed)", f"({contest.alone})")
        return [first, exact, bits_line(contest)]
    if primary is None or primary.interval is None:
        return ["No verdict: no training seed has the distortion of both sides."]
    if primary.interval.n == 1:
        return [
            f"One training seed ({show_share(primary.share)} distortion): no interval and no "
            "verdict."
        ]
    share = primary.share
    lines = [
        f"Verdict (distortion, declared primary): {verdict_words(primary)}. Adaptive has "
        f"{show_share(share)} distortion against a tokenizer trained for the same mean length, "
        f"n = {share.n} training seeds, {said_p(primary.p)} after Holm over "
        f"{sum(one.interval is not None for one in as_run.values())} metrics.",
        _sensitivity(equal[PRIMARY]),
        *_power(primary),
    ]
    return [line for line in lines if line]


def _sensitivity(primary: Difference) -> str:
    if primary.interval is None:
        return "At exactly equal tokens: not known, the elastic tokenizer's curve has no result."
    share = show_share(primary.share)
    if primary.over_seeds is not None:
        share += f" over images, {show_share(primary.share_over_seeds)} over seeds"
    return f"At exactly equal tokens: {verdict_words(primary)}, {share}."


def _power(primary: Difference) -> list[str]:
    values = list(primary.shares.values())
    mean, n = sum(values) / len(values), len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    least = minimum_detectable_effect(deviation, n)
    needed = seeds_needed(mean, deviation)
    seeds = "more seeds than can be trained" if needed is None else f"{needed} training seeds"
    return [
        f"Minimum detectable effect: with this spread over seeds (deviation "
        f"{show_percent(deviation, digits=2)}), {n} seeds find a true difference of "
        f"{show_percent(least)} with probability {POWER:g} (one test, two-sided 5 %).",
        f"To decide a true difference as large as the one seen takes {seeds}.",
    ]


def _spending(contest: Contest) -> list[str]:
    """Tokens and bits of both sides, where a token of one may not be one of the other."""
    if contest.foreign is None:
        return []
    return ["Tokens and bits of both sides", as_text(spending_rows(contest))]


def _seeds(contest: Contest) -> str:
    count, planned = len(contest.paired), len(contest.planned)
    seeds = contest.repetitions
    return (
        f"{count} of {planned} {seeds.removesuffix('s') if planned == 1 else seeds} with both sides"
    )


def _warnings(contest: Contest) -> list[str]:
    lines = []
    missing = [seed for seed in contest.planned if seed not in contest.paired]
    if missing:
        lines.append(f"left out, since one side has no result: seed {', '.join(map(str, missing))}")
    if contest.collapsed:
        seeds = ", ".join(map(str, contest.collapsed))
        lines.append(
            f"collapsed to one budget for all images, skill 0: seed {seeds}; such a policy is a "
            "fixed length of the elastic tokenizer"
        )
    return lines


def seed_rows(contest: Contest, as_run: Differences) -> list[dict[str, Any]]:
    """A row per training seed: tokens of both sides, and the difference in each metric."""
    tokens = contest.adaptive.values("mean_tokens")
    return [
        {
            "seed": seed,
            "adaptive tokens": round(tokens[seed], 2),
            "fixed tokens": contest.lengths[seed],
            **{
                METRICS[metric].title: show_percent(one.shares.get(seed), digits=2, sign=True)
                for metric, one in as_run.items()
            },
        }
        for seed in contest.paired
    ]


def difference_rows(
    differences: Differences, tokens: str, *, alone: str = "one seed"
) -> list[dict[str, Any]]:
    """Means, difference, `p` and verdict of each metric, at these `tokens`."""
    over_images = any(_images(one) for one in differences.values())
    over_seeds = any(one.over_seeds is not None for one in differences.values())
    return [
        {
            "metric": METRICS[metric].title,
            "tokens": tokens,
            "seeds": len(one.seeds),
            "adaptive": one.means and one.means[0],
            "fixed length": one.means and one.means[1],
            **({"images": _images(one)} if over_images else {}),
            "difference": show_significant(one.interval, digits=3).replace("one seed", alone),
            "in %": show_share(one.share, alone=alone),
            **({"in %, over seeds": show_share(one.share_over_seeds)} if over_seeds else {}),
            "p (Holm)": show_p(one.p),
            "verdict": verdict_words(one),
        }
        for metric, one in differences.items()
    ]


def _images(one: Difference) -> int | None:
    """How many images its interval is over; None where it is over seeds."""
    return one.interval.n if isinstance(one.interval, BootstrapInterval) else None


def compared(contest: Contest) -> list[System]:
    """Every system of the table: both sides, the controls, further allocations."""
    return [contest.fixed_once, contest.adaptive, *contest.controls(), *contest.rivals()]


def control_rows(contest: Contest) -> list[dict[str, Any]]:
    """A row per system, with its distortion against the fixed-length tokenizer's."""
    systems = compared(contest)
    metrics = shown_distances(systems)
    rows = []
    for system in systems:
        against = show_share(contest.difference(system, PRIMARY).share, alone=contest.alone)
        row = {
            "system": system.label,
            "seeds": len(system.metrics),
            "tokens": show_interval(system.interval("mean_tokens")),
            **{METRICS[m].title: show_significant(system.interval(m)) for m in metrics},
            "skill": show_interval(system.interval("allocation_skill")),
            "MSE against fixed length": "-" if system is systems[0] else against,
        }
        rows.append(without_seed(row) if is_seedless(contest, system) else row)
    return rows


def controls_data(found: list[Contest]) -> pd.DataFrame:
    """Data of `control_rows`: a row per system, metric and seed."""
    rows = []
    for contest in found:
        systems = compared(contest)
        for system in systems:
            for metric in ("mean_tokens", *shown_distances(systems), "allocation_skill"):
                for seed, value in system.values(metric).items():
                    rows.append((contest.label, system.label, metric, seed, value))
    return pd.DataFrame(rows, columns=["contest", "system", "metric", "seed", "value"])
