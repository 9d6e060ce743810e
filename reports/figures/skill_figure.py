"""The figure of allocation skill: skill against tokens, and the course of training."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from bench.statistics.intervals import student_interval
from bench.suite.labels import describe_sweep
from reports.analysis.groups import (
    Group,
    allocation_label,
    has_collapsed,
    repetition_seed,
    setting,
    weighting_name,
)
from reports.paper.drawing import COLLAPSED, legend_below, new_figure, panel_inches, wrapped
from reports.paper.style import INK, MARKERS, PALETTE, QUIET, color_of

COURSES = {
    "entropy": "entropy of the policy (nats)",
    "weight_efficiency": "weight of efficiency",
    "mean_budget": "mean budget (tokens)",
}
COLUMNS = [
    *("panel", "system", "series", "weighting", "kind", "seed", "x", "y", "low", "high", "n"),
]
SHAPES = (*MARKERS, "s", ">", "p", "h")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))


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
    others = {k: v for k, v in record["swept"].items() if not k.startswith("policy.weighting")}
    named = describe_sweep(others, seeds=False)
    return f"{record['arm']}: {named}" if named else record["arm"]


def _skills(group: Group) -> list[tuple[Any, ...]]:
    rows, values, tokens = [], {}, {}
    path = repetition_seed(group.records)
    for record in group.records:
        seed, x = setting(record, path), record["metrics"]["mean_tokens"]
        collapsed = has_collapsed(record)
        y = 0.0 if collapsed else record["metrics"]["allocation_skill"]
        values.setdefault(seed, []).append(y)
        tokens.setdefault(seed, []).append(x)
        rows.append((COLLAPSED if collapsed else "seed", seed, x, y, math.nan, math.nan, 1))
    over = student_interval([sum(each) / len(each) for each in values.values()])
    x = student_interval([sum(each) / len(each) for each in tokens.values()]).mean
    return [*rows, ("mean", None, x, over.mean, over.low, over.high, over.n)]


def _course(group: Group, name: str) -> list[tuple[int, float, int]]:
    """Step, mean over the records that logged it, and their number."""
    values: dict[int, list[float]] = {}
    for record in group.records:
        for row in record["histories"].get("policy", []):
            if row.get(name) is not None:
                values.setdefault(row["step"], []).append(row[name])
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
    bars = [[mean.y - mean.low], [mean.high - mean.y]] if mean.n > 1 else None
    style = {"color": color, "marker": marker, "ms": 4.5, "mfc": "white", "capsize": 2, "lw": 0.9}
    axes.errorbar([mean.x], [mean.y], bars, **style, zorder=3)


def _legend(
    figure: Any, data: pd.DataFrame, colours: dict[str, str], numbers: dict[str, int]
) -> None:
    """What colours mean, then what markers and dashes mean."""
    from matplotlib.lines import Line2D

    by_weighting = set(colours) == set(numbers)
    marks = [
        Line2D([], [], color=colours.get(name, QUIET), **shape_of(n), mfc="white",
               lw=1, ms=4.5, label=name)
        for name, n in numbers.items()
    ]  # fmt: skip
    lines = [] if by_weighting else [
        Line2D([], [], color=color, lw=2, label=name) for name, color in colours.items()
    ]  # fmt: skip
    points = data[data["kind"].isin(["seed", COLLAPSED])]
    lines.append(Line2D([], [], color=INK, marker=".", ls="", ms=3, label="one policy"))
    count = (points["kind"] == COLLAPSED).sum()
    if count:
        label = f"collapsed: counts as 0 ({count} of {len(points)})"
        lines.append(Line2D([], [], color=INK, marker="x", ls="", ms=6, label=label))
    title = "means over seeds; bars: 95 % Student t over seeds"
    legend_below(figure, handles=[*lines, *marks], title=title)
