"""Whether adaptive lengths generate better than a tokenizer trained for their mean length."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.metrics.declared import METRICS, without_stand_ins
from bench.statistics.intervals import PairedDifference, paired_difference
from reports.analysis.groups import Group, Record, group_by_seed, repetition_seed

DISTANCES = ("gfid", "gfd_lite0")


def generation_verdict(records: Sequence[Record]) -> list[str]:
    """A sentence per generator of adaptive lengths and one of their mean length; empty without.

    Such a length is read from a policy's result. Repetitions are paired by their seed.
    """
    done = [one for one in records if one.done and one.kind == "generation"]
    groups = group_by_seed(done)
    fixed = [group for group in groups if group.records[0].length_from is not None]
    adaptive = [group for group in groups if group.records[0].config.policy is not None]
    found = (_sentence(*sides) for sides in itertools.product(adaptive, fixed))
    return [sentence for sentence in found if sentence]


def _sentence(adaptive: Group, fixed: Group) -> str | None:
    sides = (adaptive, fixed)
    both = (m for m in DISTANCES if None not in [group.interval(m) for group in sides])
    metric = next(iter(without_stand_ins(both)), None)
    if metric is None:
        return None
    path = repetition_seed([*adaptive.records, *fixed.records])
    found = [
        group.by_seed(lambda record: record.metrics.value(metric), path=path) for group in sides
    ]
    if not all(found) or not found[0].keys() & found[1].keys():
        return None
    over = paired_difference(*found)
    values = " against ".join(f"{sum(side.values()) / len(side):.4g}" for side in found)
    tokens = [group.interval("mean_tokens_data").mean for group in sides]
    alike = "equal" if _training(adaptive) == _training(fixed) else "another"
    return (
        f"{adaptive.label} (mean {tokens[0]:.3g} tokens) against {fixed.label} ({tokens[1]:.3g}), "
        f"{alike} generator training: {METRICS[metric].title} {values}, {_words(over)}."
    )


def _training(group: Group) -> Any:
    """The generator's shape and training, but for its seed and how it tells lengths."""
    asked = group.records[0].config.generation
    shape = replace(asked.generator, lengths="fixed")
    return shape, replace(asked.training, seed=0)


def _words(over: PairedDifference) -> str:
    if math.isnan(over.low):
        return "one seed, so no interval and no verdict"
    shown = f"{over.mean:+.3g} [{over.low:.3g}, {over.high:.3g}] over {over.n} seeds"
    if over.low <= 0 <= over.high:
        return f"{shown}: no difference shown"
    return f"{shown}: adaptive is {'better' if over.mean < 0 else 'worse'}"
