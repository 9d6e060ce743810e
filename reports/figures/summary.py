"""The table that a run ends with, and the answer it gives in words."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

from bench.files import write_text
from bench.records.report_plugins import Figure, Report
from bench.records.tables import as_text, format_value
from bench.statistics.intervals import student_interval
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
    for fixed in group_by_seed([*filter(is_fixed_length, records)]):
        lines += _against_fixed_length(fixed, groups)
    return lines


def _against_fixed_length(fixed: Group, groups: list[Group]) -> list[str]:
    """Policies whose mean budget rounds to the length of these tokenizers, side by side with them.

    Nothing where their lengths differ from one training to another.
    """
    lengths = {record.config.tokenizer.max_tokens for record in fixed.records}
    theirs = fixed.by_seed(_distortion, path=TRAINING_SEED)
    lines = []
    for group in groups:
        tokens, ours = group.interval("mean_tokens"), group.by_seed(_distortion, path=TRAINING_SEED)
        if theirs is None or ours is None or tokens is None or {round(tokens.mean)} != lengths:
            continue
        change, by = _change(ours, theirs)
        more, length = "more" if change > 0 else "less", round(tokens.mean)
        rival = f"a tokenizer trained for exactly {length} tokens"
        if not is_trained_here(fixed.records[0]):
            rival, by = f"{fixed.label} with {length} tokens", "no interval here: see settle"
        lines.append(
            f"Against {rival}: {group.label} at "
            f"{tokens.mean:.2f} tokens has {abs(change):.1f} % {more} distortion ({by})."
        )
    return lines


def _distortion(record: Record) -> float | None:
    return record.metrics.value("mse")


def _change(ours: dict[Any, float], theirs: dict[Any, float]) -> tuple[float, str]:
    """By how many per cent `ours` exceeds `theirs`, values by training seed; and what that says."""
    if len(theirs) > 1 and len(ours.keys() & theirs.keys()) > 1:
        shares = {seed: 100 * (ours[seed] / theirs[seed] - 1) for seed in ours if seed in theirs}
        over = student_interval(list(shares.values()))
        interval = f"{show_interval(over, digits=1)} %, paired by {over.n} training seeds"
        return over.mean, interval
    change = 100 * (fmean(ours.values()) / fmean(theirs.values()) - 1)
    return change, "one training each: no interval over trainings"


REPORT = Figure(title="All systems in words", place=170, draw=report)
