"""Skill of policies that choose by image, and the course of their training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from bench.records.report_plugins import Figure, Report
from bench.records.tables import as_text
from bench.statistics.intervals import PairedDifference, StudentInterval
from bench.suite.labels import arm_and_sweep
from reports.analysis.comparisons import compare, comparison_rows, count_verdicts, reference_arm
from reports.analysis.groups import (
    Group,
    Record,
    done_records,
    group_by_seed,
    has_collapsed,
    is_policy,
    repetition_seed,
)
from reports.analysis.measures import control_skill, largest, mean_of, skill, target_error
from reports.analysis.names import allocation_label, natural_groups, weighting_name
from reports.paper.drawing import COLLAPSED, legend_below, new_figure, panel_inches, render, wrapped
from reports.paper.marks import SINGLE, draw_mean, ends, sample
from reports.paper.style import INK, MARKERS, PALETTE, QUIET, color_of
from reports.paper.text import caption, page, show_interval, show_percent, unfinished

NOTE = (
    f"Policies: skill 0 ignores the image, 1 is the oracle; [{caption(StudentInterval)}]; "
    "a collapsed policy counts as skill 0"
)
SEVERAL_CANDIDATES = (
    "Skill is relative to the oracle of a policy's own candidates: between different candidate "
    "sets compare the distortion, not the skill"
)
COURSES = {
    "entropy": "entropy of the policy (nats)",
    "weight_efficiency": "weight of efficiency",
    "mean_budget": "mean budget (tokens)",
}
COLUMNS = ["panel", "system", "series", "weighting", "kind", "seed", "x", "y", "low", "high", "n"]
SHAPES = (*MARKERS, "s", ">", "p", "h")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))


def report(records: list[Record], folder: Path) -> Report:
    """Draw `allocation_skill.png`, `.pdf` and `.csv`; tables as text."""
    policies, failed = [*filter(is_policy, done_records(records))], unfinished(records)
    groups = group_by_seed(policies)
    if not groups:
        return Report(text=page("Allocation skill: no policy has a result yet", failed))
    files = render(folder, "allocation_skill", skill_data(natural_groups(policies)), draw)
    blocks = [f"{NOTE}\n{as_text([_row(group) for group in groups])}"]
    arm = reference_arm(records)
    sets = {r.config.policy.candidates for group in groups for r in group.records}
    if len(sets) > 1:
        blocks.append(SEVERAL_CANDIDATES)
    elif arm is not None:
        blocks.append(_against(groups, arm))
    return Report(files, page(*blocks, failed), "Allocation skill of policies", _alt(groups))


def _alt(groups: list[Group]) -> str:
    about = (
        f"Allocation skill of {len(groups)} policies against mean tokens, where 0 ignores the "
        "image and 1 is the oracle, and their entropy, weight and mean budget over training."
    )
    best = largest(groups, skill)
    if best is None:
        return about
    over, label = best
    collapsed = sum(has_collapsed(record) for group in groups for record in group.records)
    return (
        f"{about} The largest is {show_interval(over, over=True)}: {label}. {collapsed} of "
        f"{sum(len(group.records) for group in groups)} trainings have collapsed."
    )


def _against(groups: list[Group], arm: str) -> str:
    comparisons = compare(groups, arm, "allocation_skill")
    about = (
        f"Against arm '{arm}' at the values it sweeps: skill, paired by seed "
        f"[{caption(PairedDifference)}]; verdicts at 5 % on p corrected by Holm over all rows"
    )
    if not comparisons:
        return f"{about}\nno other arm has a result"
    return f"{about}\n{as_text(comparison_rows(comparisons))}\n{count_verdicts(comparisons)}"


def _row(group: Group) -> dict[str, Any]:
    def metric(name: str) -> float | None:
        return mean_of(group, lambda record: record.metrics.value(name))

    entropy, collapsed = metric("policy_entropy"), sum(map(has_collapsed, group.records))
    return {
        "system": group.label,
        "seeds": group.repetitions,
        "tokens": round(metric("mean_tokens"), 2),
        "mse": metric("mse"),
        "off target": show_percent(mean_of(group, target_error), sign=True),
        "skill": show_interval(group.interval_of(skill)),
        "skill (perceptual)": show_interval(
            group.interval_of(lambda record: skill(record, "allocation_skill_perceptual"))
        ),
        "shuffled": "-" if (shuffled := control_skill(group)) is None else f"{shuffled:.2f}",
        "entropy": None if entropy is None else f"{entropy:.2f}",
        "collapsed": f"{collapsed}/{len(group.records)}",
        "parameters": show_percent(metric("policy_parameter_share"), digits=2),
        "time": show_percent(metric("policy_time_share"), digits=2),
    }


def skill_data(groups: list[Group]) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`.

    `kind` is `seed`, `collapsed` (drawn at skill 0) or `mean` (with its interval), all in the panel
    `skill`, where x is mean tokens; or `course`, the mean over seeds, where x is the step.
    """
    rows: list[tuple[Any, ...]] = []
    for group in groups:
        first = group.records[0]
        names = allocation_label(first), series_name(group), weighting_name(first)
        rows += [("skill", *names, *row) for row in _skills(group)]
        for panel in COURSES:
            rows += [
                (panel, *names, "course", None, step, value, math.nan, math.nan, n)
                for step, value, n in _course(group, panel)
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


def series_name(group: Group) -> str:
    """The group without its weighting: arm and the other swept values."""
    record = group.records[0]
    others = {k: v for k, v in record.swept.items() if not k.startswith("policy.weighting")}
    return arm_and_sweep(record.arm, others)


def _skills(group: Group) -> list[tuple[Any, ...]]:
    path = repetition_seed(group.records)
    rows: list[tuple[Any, ...]] = []
    for record in group.records:
        kind = COLLAPSED if has_collapsed(record) else "seed"
        tokens = record.metrics.value("mean_tokens")
        rows.append((kind, record.setting(path), tokens, skill(record) or 0.0, *SINGLE))
    tokens = group.interval("mean_tokens")
    over = group.interval_of(lambda record: skill(record) or 0.0)
    return [*rows, ("mean", None, tokens.mean, *ends(over))]


def _course(group: Group, name: str) -> list[tuple[int, float, int]]:
    """Step, mean over the records that logged it, and their number."""
    values: dict[int, list[float]] = {}
    for record in group.records:
        for row in record.histories.get("policy", ()):
            if name in row and (value := row.value(name)) is not None:
                values.setdefault(row.step, []).append(value)
    return [(step, sum(each) / len(each), len(each)) for step, each in sorted(values.items())]


def looks(data: pd.DataFrame) -> tuple[dict[str, str], dict[str, int]]:
    """Colour by series, and number of the marker and dashes by weighting.

    Where the weighting is all that differs, colours go by weighting.
    """
    by = "series" if data["series"].nunique() > 1 else "weighting"
    pairs = data[[by, "system"]].drop_duplicates()
    colours = {}
    for name in data[by].unique():
        # What is one system by itself has that system's colour, as in the other figures.
        systems = list(pairs.loc[pairs[by] == name, "system"])
        alone = len(systems) == 1 and (pairs["system"] == systems[0]).sum() == 1
        colours[name] = color_of(systems[0] if alone else name)
    return colours, {name: i for i, name in enumerate(data["weighting"].unique())}


def shape_of(number: int) -> dict[str, Any]:
    """Marker and dashes of a weighting; not both as those of one of the same colour."""
    dashes = DASHES[(number + number // len(PALETTE)) % len(DASHES)]
    return {"marker": SHAPES[number % len(SHAPES)], "ls": dashes}


def draw(data: pd.DataFrame) -> Any:
    """Four panels: skill against mean tokens, then the courses over training steps."""
    colours, numbers = looks(data)
    figure = new_figure(4.2)
    grid = figure.subplots(2, 2)
    for (series, weighting), shown in data.groupby(["series", "weighting"], sort=False):
        color = colours.get(series) or colours[weighting]
        shape = shape_of(numbers[weighting])
        _draw_skills(grid[0, 0], shown[shown["panel"] == "skill"], color, shape["marker"])
        for axes, name in zip(grid.flat[1:], COURSES, strict=True):
            course = shown[shown["panel"] == name]
            axes.plot(course["x"], course["y"], color=color, ls=shape["ls"], lw=1)
    grid[0, 0].axhline(0, color=INK, lw=0.8, zorder=1)
    grid[0, 0].set(xlabel="mean tokens per image", ylabel="allocation skill")
    for axes, label in zip(grid.flat[1:], COURSES.values(), strict=True):
        axes.set(xlabel=wrapped("training step of the policy", panel_inches(axes)), ylabel=label)
    _legend(figure, data, colours, numbers)
    return figure


def _draw_skills(axes: Any, shown: pd.DataFrame, color: str, marker: str) -> None:
    seeds = shown[shown["kind"] == "seed"]
    axes.plot(seeds["x"], seeds["y"], ".", color=color, ms=3, mew=0, zorder=4)
    crosses = shown[shown["kind"] == COLLAPSED]
    axes.plot(crosses["x"], crosses["y"], "x", color=color, ms=6, zorder=5)
    (mean,) = shown[shown["kind"] == "mean"].itertuples()
    style = {"color": color, "marker": marker, "ms": 4.5, "mfc": "white", "capsize": 2, "lw": 0.9}
    draw_mean(axes, mean.x, mean.y, mean, **style, zorder=3)


def _legend(
    figure: Any, data: pd.DataFrame, colours: dict[str, str], numbers: dict[str, int]
) -> None:
    style = {"mfc": "white", "lw": 1, "ms": 4.5}
    marks = [
        sample(name, color=colours.get(name, QUIET), **shape_of(n), **style)
        for name, n in numbers.items()
    ]
    by_weighting = set(colours) == set(numbers)
    lines = [] if by_weighting else [sample(name, color=c, lw=2) for name, c in colours.items()]
    points = data[data["kind"].isin(["seed", COLLAPSED])]
    lines.append(sample("one policy", color=INK, marker=".", ls="", ms=3))
    count = (points["kind"] == COLLAPSED).sum()
    if count:
        label = f"collapsed: counts as 0 ({count} of {len(points)})"
        lines.append(sample(label, color=INK, marker="x", ls="", ms=6))
    title = "means over seeds; bars: 95 % Student t over seeds"
    legend_below(figure, handles=[*lines, *marks], title=title)


REPORT = Figure(title="How well policies choose by image", place=70, draw=report)
