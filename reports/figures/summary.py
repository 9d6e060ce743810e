"""The table that a run ends with, and the answer it gives in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.files import write_text
from bench.records.report_plugins import Figure, Report
from bench.records.tables import as_text, format_value
from bench.statistics.intervals import StudentInterval, student_interval
from reports.analysis.groups import (
    Group,
    Record,
    done_records,
    group_by_seed,
    is_allocation,
    is_elastic,
    is_fixed_length,
    is_policy,
    is_trained_here,
    protocol_line,
    repetition_seed,
)
from reports.analysis.measures import control_skill
from reports.analysis.names import FIXED_BUDGET, ONE_LENGTH, tokenizer_label
from reports.paper.drawing import UNTRAINED
from reports.paper.text import show_interval, unfinished

NOTE = f"* {UNTRAINED}"
TRAINING_SEED = "training.seed"
METRICS = ("psnr", "mse", "rfid", "fd_lite0")
MANY = 4  # Policies that are told one by one.
ONE_TRAINING = "one training each: no interval over trainings"


def report(records: list[Record], folder: Path) -> Report:
    """Table and verdict as text for stdout, also written to `summary.txt`."""
    done = done_records(records)
    lines = [records[0].question, ""]
    if done:
        rows = summary_rows(done)
        marked = any(row["system"].endswith("*") for row in rows)
        lines += [_protocol_line(done), "", as_text(rows), *([NOTE] if marked else [])]
        lines += ["", *verdict(done)]
    lines += unfinished(records)
    text, path = "\n".join(lines) + "\n", folder / "summary.txt"
    write_text(path, text)
    return Report([path], text)


def _protocol_line(records: list[Record]) -> str:
    groups = group_by_seed([*filter(is_policy, records)] or [*filter(is_allocation, records)])
    trainings = any(repetition_seed(group.records) == TRAINING_SEED for group in groups)
    seeds = "training seeds, policies averaged within each" if trainings else "policy seeds"
    return (
        f"{protocol_line(records)}; skill: 0 ignores the image, 1 is the oracle; "
        f"intervals: 95 % Student t over {seeds}"
    )


def summary_rows(records: list[Record]) -> list[dict[str, Any]]:
    """A row per fixed budget, per tokenizer of one length, and per allocation over its seeds."""
    rows = []
    for record in filter(is_elastic, records):
        for point in record.curve:
            mark = "" if point.trained else " *"
            label = f"{tokenizer_label(record)}: {FIXED_BUDGET}{mark}"
            rows.append(_row(label, point.values, seeds=None))
    for record in filter(is_fixed_length, records):
        words = "trained for one length" if is_trained_here(record) else ONE_LENGTH
        rows.append(_row(f"{record.arm}: {words}", record.metrics.root, seeds=None))
    for group in group_by_seed([*filter(is_allocation, records)]):
        intervals = {name: group.interval(name) for name in ("mean_tokens", *METRICS)}
        metrics = {name: over.mean for name, over in intervals.items() if over is not None}
        shuffled = control_skill(group)
        rows.append(_row(group.label, metrics, seeds=group.repetitions) | {
            "skill": show_interval(group.interval("allocation_skill")),
            "shuffled": "-" if shuffled is None else format_value(round(shuffled, 2)),
            "collapsed": "yes" if group.collapsed else "no",
        })  # fmt: skip
    return rows


def _row(label: str, metrics: dict[str, Any], *, seeds: int | None) -> dict[str, Any]:
    row = {"system": label, "seeds": seeds, "tokens": round(metrics["mean_tokens"], 2)}
    return row | {name: metrics[name] for name in METRICS if name in metrics}


def verdict(records: list[Record]) -> list[str]:
    """Answer of the numbers to letting the image choose, and what they leave open."""
    groups = group_by_seed([*filter(is_policy, records)])
    skills = [(group, group.interval("allocation_skill")) for group in groups]
    known = [(group, skill) for group, skill in skills if skill is not None and skill.n > 1]
    lines = []
    if known:
        better = [group for group, skill in known if skill.low > 0]
        worse = [group for group, skill in known if skill.high < 0]
        best, skill = max(known, key=lambda pair: pair[1].mean)
        lines.append(
            f"At equal mean tokens on the same tokenizer, choosing by image beats the best mixture "
            f"that ignores it for {len(better)} of {len(known)} policies, loses for {len(worse)}, "
            f"and is not distinguishable for {len(known) - len(better) - len(worse)}."
        )
        lines.append(f"Largest skill: {show_interval(skill, over=True)}, {best.label}.")
    alone = [group.label for group, skill in skills if skill is not None and skill.n == 1]
    if alone:
        lines.append(f"One seed, so no interval and no verdict: {'; '.join(alone)}.")
    unknown = [group.label for group, skill in skills if skill is None]
    if unknown:
        lines.append(
            "No skill, since a seed spends its tokens where ignoring the image loses nothing: "
            f"{'; '.join(unknown)}."
        )
    fixed = group_by_seed([*filter(is_fixed_length, records)])
    lengths = Counter(_length(one) for one in fixed)
    for one in fixed:
        lines += _against_fixed_length(one, groups, several=lengths[_length(one)] > 1)
    return lines


def _length(fixed: Group) -> int | None:
    """The length of these tokenizers; None where it differs from one training to another."""
    lengths = {record.config.tokenizer.max_tokens for record in fixed.records}
    return lengths.pop() if len(lengths) == 1 else None


def _against_fixed_length(fixed: Group, groups: list[Group], *, several: bool) -> list[str]:
    """Policies whose mean budget rounds to the length of these tokenizers, side by side with them.

    One sentence a policy, or one of all where there are many. `several` tokenizers of this length
    are told apart by name.
    """
    length, theirs = _length(fixed), fixed.by_seed(_distortion, path=TRAINING_SEED)
    found = []
    for group in groups:
        tokens, ours = group.interval("mean_tokens"), group.by_seed(_distortion, path=TRAINING_SEED)
        if theirs is not None and ours is not None and tokens and round(tokens.mean) == length:
            found.append((f"{group.label} at {tokens.mean:.2f} tokens", _change(ours, theirs)))
    name = f" ({fixed.label})" if several else ""
    rival, alone = f"a tokenizer trained for exactly {length} tokens{name}", ONE_TRAINING
    if not is_trained_here(fixed.records[0]):
        rival, alone = f"{fixed.label} with {length} tokens", "no interval here: see settle"
        found = [(policy, replace(over, n=1)) for policy, over in found]
    if len(found) > MANY:
        return [f"Against {rival}: {_of_many(found)}"]
    return [
        f"Against {rival}: {policy} has {_more(over.mean)} ({_interval(over) or alone})."
        for policy, over in found
    ]


def _of_many(found: list[tuple[str, StudentInterval]]) -> str:
    """The extremes of the policies, and for how many of them an interval excludes 0."""
    ordered = sorted(found, key=lambda pair: pair[1].mean)
    ends = "; ".join(
        f"{policy} has {_more(over.mean)}{f' ({words})' if (words := _interval(over)) else ''}"
        for policy, over in (ordered[0], ordered[-1])
    )
    overs = [over for _, over in found if over.n > 1]
    worse, better = sum(over.low > 0 for over in overs), sum(over.high < 0 for over in overs)
    counted = f"; more is shown for {worse}, less for {better}, uncorrected" if overs else ""
    policies = f"of {len(found)} policies, whatever their trainings cost, the extremes"
    return f"{policies}: {ends}{counted}."


def _more(change: float) -> str:
    return f"{abs(change):.1f} % {'more' if change > 0 else 'less'} distortion"


def _interval(over: StudentInterval) -> str:
    """Nothing where there is one training alone."""
    if over.n == 1:
        return ""
    return f"{show_interval(over, digits=1)} %, paired by {over.n} training seeds"


def _distortion(record: Record) -> float | None:
    return record.metrics.value("mse")


def _change(ours: dict[Any, float], theirs: dict[Any, float]) -> StudentInterval:
    """By how many per cent `ours` exceeds `theirs`, values by training seed."""
    shares = [100 * (ours[seed] / theirs[seed] - 1) for seed in ours if seed in theirs]
    if len(theirs) > 1 and len(shares) > 1:
        return student_interval(shares)
    return student_interval([100 * (fmean(ours.values()) / fmean(theirs.values()) - 1)])


REPORT = Figure(title="All systems in words", place=170, draw=report)
