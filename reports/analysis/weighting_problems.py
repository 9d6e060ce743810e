"""Policies that solve one problem under several weightings, and their points in its plane."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from bench.statistics.pareto import hypervolume
from bench.suite.labels import arm_and_sweep
from reports.analysis.groups import Record, group_by_seed, is_elastic, is_policy, tokenizer_identity
from reports.analysis.names import weighting_name

# What may differ between policies that solve the same problem, and how long they take.
FREE = ("weighting", "seed", "steps", "log_every", "checkpoint_every")
Point = tuple[float, float]
Seeds = tuple[int, int]


@dataclass(frozen=True)
class Scale:
    """The candidates' range and the distortion at its ends, which make both axes 0 to 1."""

    budgets: Point
    distortions: Point

    def hypervolume(self, points: Iterable[Point]) -> float:
        """Of points (mean tokens, distortion); the reference has all tokens, all distortion."""
        tokens, distortion = np.array(list(points), dtype=np.float64).reshape(-1, 2).T
        (low, high), (worst, best) = self.budgets, self.distortions
        gains = np.stack([(high - tokens) / (high - low), (worst - distortion) / (worst - best)])
        return hypervolume(gains.T, [0.0, 0.0])


@dataclass(frozen=True)
class Problem:
    """Policies alike in all but weighting and seeds: weighting name -> seeds -> record.

    `seeds` are those (training, policy) for which every fixed weighting has a result; `scales` are
    by training seed.
    """

    label: str
    runs: dict[str, dict[Seeds, Record]]
    scales: dict[int, Scale]
    seeds: tuple[Seeds, ...]
    left_out: tuple[Seeds, ...]

    def names(self, kind: str) -> list[str]:
        """Weightings of one scheme."""
        return [n for n, runs in self.runs.items() if _kind(next(iter(runs.values()))) == kind]

    @property
    def schemes(self) -> list[str]:
        """Schemes of weighting other than fixed."""
        kinds = [_kind(next(iter(runs.values()))) for runs in self.runs.values()]
        return [kind for kind in dict.fromkeys(kinds) if kind != "fixed"]


def problems(records: list[Record]) -> list[Problem]:
    """The records' policies by what they have to solve, in the order of the suite."""
    members: dict[str, list[Record]] = {}
    for record in filter(is_policy, records):
        members.setdefault(_identity(record), []).append(record)
    return [_problem(each, records) for each in members.values()]


def _identity(record: Record) -> str:
    data, tokenizer, training, *others = tokenizer_identity(record)
    training = {key: value for key, value in (training or {}).items() if key != "seed"}
    policy = {k: v for k, v in asdict(record.config.policy).items() if k not in FREE}
    return json.dumps([data, tokenizer, training, *others, policy], sort_keys=True)


def _problem(members: list[Record], records: list[Record]) -> Problem:
    groups = group_by_seed(members)
    names = [weighting_name(group.records[0]) for group in groups]
    runs: dict[str, dict[Seeds, Record]] = {}
    scales: dict[int, Scale] = {}
    for group, name in zip(groups, names, strict=True):
        each = runs.setdefault(name if names.count(name) == 1 else group.label, {})
        for record in group.records:
            training = record.setting("training.seed")
            each[training, record.setting("policy.seed")] = record
            if (scale := _scale(record, records)) is not None:
                scales[training] = scale
    fixed = [r for r in runs.values() if _kind(next(iter(r.values()))) == "fixed"]
    every = sorted({seeds for each in runs.values() for seeds in each if seeds[0] in scales})
    complete = tuple(s for s in every if fixed and all(s in each for each in fixed))
    arms = ", ".join(dict.fromkeys(record.arm for record in members))
    free = tuple(f"policy.{key}" for key in FREE)
    swept = {k: v for k, v in members[0].swept.items() if not k.startswith(free)}
    left_out = tuple(s for s in every if s not in complete)
    return Problem(arm_and_sweep(arms, swept), runs, scales, complete, left_out)


def _kind(record: Record) -> str:
    return record.config.policy.weighting.kind


def _scale(policy: Record, records: list[Record]) -> Scale | None:
    """From the curve of the policy's tokenizer; None without one, or where tokens do not help."""
    low, *_, high = policy.config.policy.candidates
    for record in filter(is_elastic, records):
        mse = {row.budget: row.value("mse") for row in record.curve}
        if tokenizer_identity(record) == tokenizer_identity(policy) and {low, high} <= mse.keys():
            return Scale((low, high), (mse[low], mse[high])) if mse[low] > mse[high] else None
    return None


def final_point(record: Record) -> Point:
    """Mean tokens and distortion on the validation images."""
    return record.metrics.value("mean_tokens"), record.metrics.value("mse")


def trajectory(record: Record) -> list[Point]:
    """Mean tokens and distortion on the monitored images, step by step; empty in old records."""
    rows = record.histories.get("policy", ())
    return [
        (row.value("monitor_tokens"), row.value("monitor_mse"))
        for row in rows
        if "monitor_tokens" in row
    ]
