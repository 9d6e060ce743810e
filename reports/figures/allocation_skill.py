"""How well policies choose by image, and how their training went."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.records.report_plugins import Report
from bench.records.tables import as_text
from bench.statistics.intervals import PairedDifference, StudentInterval
from reports.analysis.allocations import natural
from reports.analysis.comparisons import compare, comparison_rows, count_verdicts, reference_arm
from reports.analysis.groups import (
    Group,
    Record,
    done_records,
    group_by_seed,
    has_collapsed,
    is_policy,
    setting,
)
from reports.figures.skill_figure import draw, skill_data
from reports.paper.drawing import render
from reports.paper.text import caption, page, show_interval, show_percent, unfinished

NOTE = (
    f"Policies: skill 0 ignores the image, 1 is the oracle; [{caption(StudentInterval)}]; "
    "a collapsed policy counts as skill 0"
)

SEVERAL_CANDIDATES = (
    "Skill is relative to the oracle of a policy's own candidates: between different candidate "
    "sets compare the distortion, not the skill"
)


def report(records: list[Record], folder: Path) -> Report:
    """Draw `allocation_skill.png`, `.pdf` and `.csv`; tables as text.

    Raises:
        UserError: the records' protocols differ.
    """
    groups = group_by_seed([record for record in done_records(records) if is_policy(record)])
    failed = unfinished(records)
    if not groups:
        return Report(text=page("Allocation skill: no policy has a result yet", failed))
    drawn = sorted(groups, key=lambda group: natural(group.label))
    files = render(folder, "allocation_skill", skill_data(drawn), draw)
    blocks = [f"{NOTE}\n{as_text([_row(group) for group in groups])}"]
    arm = reference_arm(records)
    sets = {str(setting(r, "policy.candidates")) for group in groups for r in group.records}
    if len(sets) > 1:
        blocks.append(SEVERAL_CANDIDATES)
    elif arm is not None:
        blocks.append(_against(groups, arm))
    return Report(files, page(*blocks, failed), "Allocation skill of policies", _alt(groups))


def _alt(groups: list[Group]) -> str:
    known = [(group.interval_of(skill), group.label) for group in groups]
    known = [(over, label) for over, label in known if over is not None]
    about = (
        f"Allocation skill of {len(groups)} policies against mean tokens, where 0 ignores the "
        "image and 1 is the oracle, and their entropy, weight and mean budget over training."
    )
    if not known:
        return about
    over, label = max(known, key=lambda pair: pair[0].mean)
    collapsed = sum(has_collapsed(record) for group in groups for record in group.records)
    return (
        f"{about} The largest is {show_interval(over, over=True)}: {label}. {collapsed} of "
        f"{sum(len(group.records) for group in groups)} trainings have collapsed."
    )


def skill(record: Record, metric: str = "allocation_skill") -> float | None:
    """The policy's skill; 0 where it has collapsed, since a fixed length would do the same."""
    if metric not in record["metrics"]:
        return None
    return 0.0 if has_collapsed(record) else record["metrics"][metric]


def _against(groups: list[Group], arm: str) -> str:
    comparisons = compare(groups, arm, lambda group, reference: skill)
    about = (
        f"Against arm '{arm}' at the values it sweeps: skill, paired by seed "
        f"[{caption(PairedDifference)}]; verdicts at 5 % on p corrected by Holm over all rows"
    )
    if not comparisons:
        return f"{about}\nno other arm has a result"
    return f"{about}\n{as_text(comparison_rows(comparisons))}\n{count_verdicts(comparisons)}"


def _row(group: Group) -> dict[str, Any]:
    def mean(value: Callable[[Record], float | None]) -> float | None:
        over = group.interval_of(value)
        return None if over is None else over.mean

    def metric(name: str) -> float | None:
        return mean(lambda record: record["metrics"].get(name))

    entropy, collapsed = metric("policy_entropy"), sum(map(has_collapsed, group.records))
    return {
        "system": group.label,
        "seeds": group.repetitions,
        "tokens": round(metric("mean_tokens"), 2),
        "mse": metric("mse"),
        "off target": show_percent(mean(target_error), sign=True),
        "skill": show_interval(group.interval_of(skill)),
        "skill (perceptual)": show_interval(
            group.interval_of(lambda record: skill(record, "allocation_skill_perceptual"))
        ),
        "shuffled": _shuffled(group),
        "entropy": None if entropy is None else f"{entropy:.2f}",
        "collapsed": f"{collapsed}/{len(group.records)}",
        "parameters": show_percent(metric("policy_parameter_share"), digits=2),
        "time": show_percent(metric("policy_time_share"), digits=2),
    }


def target_error(record: Record) -> float | None:
    """How far the mean tokens are from a constraint's target, as a share of it."""
    target = setting(record, "policy.weighting.mean_budget")
    return None if target is None else record["metrics"]["mean_tokens"] / target - 1


def _shuffled(group: Group) -> str:
    """Mean skill of the same budgets on other images, where it is defined."""
    skills = [record["controls"]["shuffled"]["allocation_skill"] for record in group.records]
    known = [value for value in skills if value is not None]
    return f"{fmean(known):.2f}" if known else "-"
