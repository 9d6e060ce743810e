"""The figure of hypervolume shares: the sweep's front, other weightings' points, trajectories."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reports.analysis.weighting_problems import Point, Problem, Seeds, final_point, trajectory
from reports.paper.drawing import legend_below, new_figure
from reports.paper.style import INK, PAGE_INCHES, QUIET, look_of, width_inches

PANELS = {
    "final": "after training, validation images, all seeds",
    "training": "during training, monitored images, one seed",
}
COLUMNS = ["policies", "panel", "scheme", "weighting", "kind", "seed", "order", "tokens", "mse"]


def share_data(problems: list[Problem]) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`.

    `kind` is `policy`, `trajectory`, `front` (the staircase of the fixed policies, in `order`) or
    `reference`. Trajectories are of the first seed, and of the middle weighting of each scheme.
    """
    rows: list[tuple[Any, ...]] = []
    for problem in problems:
        for seeds in problem.seeds:
            points = {
                (kind, name): [final_point(problem.runs[name][seeds])]
                for kind in ("fixed", *problem.schemes)
                for name in problem.names(kind)
                if seeds in problem.runs[name]
            }
            rows += _rows(problem, "final", seeds, points)
        rows += _rows(problem, "training", problem.seeds[0], _courses(problem))
    return pd.DataFrame(rows, columns=COLUMNS)


def _courses(problem: Problem) -> dict[tuple[str, str], list[Point]]:
    """Last monitored points of the fixed policies, and one trajectory per scheme."""
    seeds = problem.seeds[0]
    fixed = {n: trajectory(problem.runs[n][seeds])[-1:] for n in problem.names("fixed")}
    if not all(fixed.values()):
        return {}
    courses = {("fixed", name): points for name, points in fixed.items()}
    for kind in problem.schemes:
        names = [name for name in problem.names(kind) if seeds in problem.runs[name]]
        if names:
            name = names[len(names) // 2]
            courses[kind, name] = trajectory(problem.runs[name][seeds])
    return courses


def _rows(
    problem: Problem, panel: str, seeds: Seeds, points: dict[tuple[str, str], list[Point]]
) -> list[tuple[Any, ...]]:
    if not points:
        return []
    seed = f"{seeds[0]}/{seeds[1]}"
    scale = problem.scales[seeds[0]]
    reference = (scale.budgets[1], scale.distortions[0])
    front = _staircase([p for (kind, _), each in points.items() if kind == "fixed" for p in each],
                       reference)  # fmt: skip
    drawn = [("fixed", "", "front", front), ("", "", "reference", [reference])]
    for (scheme, name), each in points.items():
        kind = "trajectory" if panel == "training" and scheme != "fixed" else "policy"
        drawn.append((scheme, name, kind, each))
    return [
        (problem.label, panel, scheme, name, kind, seed, order, *point)
        for scheme, name, kind, each in drawn
        for order, point in enumerate(each)
    ]


def _staircase(points: list[Point], reference: Point) -> list[Point]:
    """Vertices of the edge of what the points dominate, up to the reference."""
    tokens, mse = reference
    edge = []
    level = mse
    for t, d in sorted(points):
        if t <= tokens and d < level:
            edge += [(t, level), (t, d)]
            level = d
    return [*edge, (tokens, level)]


def draw(data: pd.DataFrame) -> Any:
    """The figure: a row per set of policies, a panel for the end and one for the course."""
    labels, panels = list(data["policies"].unique()), list(data["panel"].unique())
    across = 1 if width_inches() < PAGE_INCHES else len(panels)
    rows = len(labels) * len(panels) // across
    figure = new_figure(2.3 * rows)
    grid = figure.subplots(rows, across, squeeze=False).reshape(len(labels), len(panels))
    for label, row in zip(labels, grid, strict=True):
        for panel, axes in zip(panels, row, strict=True):
            shown = data[(data["policies"] == label) & (data["panel"] == panel)]
            _draw_axes(axes, shown)
            title = PANELS[panel]
            axes.set_title(f"{label}\n{title}" if len(labels) > 1 else title)
            axes.set(xlabel="mean tokens per image", ylabel="distortion (MSE)")
    legend_below(figure)
    return figure


def _draw_axes(axes: Any, shown: pd.DataFrame) -> None:
    label = "edge of the fixed sweep"
    for _, front in shown[shown["kind"] == "front"].groupby("seed", sort=False):
        axes.plot(front["tokens"], front["mse"], color=QUIET, lw=0.8, label=label, zorder=1)
    mark = shown[shown["kind"] == "reference"]
    axes.plot(mark["tokens"], mark["mse"], "+", color=INK, ms=7, label="reference point", zorder=2)
    fixed = shown[(shown["kind"] == "policy") & (shown["scheme"] == "fixed")]
    axes.plot(fixed["tokens"], fixed["mse"], "s", color=QUIET, ms=3.5, label="fixed", zorder=3)
    schemes = dict.fromkeys(shown["scheme"])
    for scheme in (name for name in schemes if name not in ("", "fixed")):
        style = {**look_of(scheme), "mew": 0}
        points = shown[(shown["kind"] == "policy") & (shown["scheme"] == scheme)]
        if len(points):
            axes.plot(points["tokens"], points["mse"], **style, ls="", ms=4, label=scheme, zorder=4)
        path = shown[(shown["kind"] == "trajectory") & (shown["scheme"] == scheme)]
        if len(path):
            name = f"{path['weighting'].iloc[0]}: trajectory, larger at its end"
            axes.plot(
                path["tokens"], path["mse"], **style, lw=0.7, ms=2, alpha=0.8, label=name, zorder=4
            )
            axes.plot(path["tokens"].iloc[-1:], path["mse"].iloc[-1:], **style, ms=6, zorder=5)
