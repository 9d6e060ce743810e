"""Did dynamic weighting remove the sweep? Hypervolume it reaches of a sweep over fixed weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from bench.records.report_plugins import Figure, Report
from bench.records.tables import as_text
from bench.statistics.intervals import StudentInterval, student_interval
from reports.analysis.groups import Record, done_records, repetition_seed
from reports.analysis.weighting_problems import (
    Point,
    Problem,
    Seeds,
    final_point,
    problems,
    trajectory,
)
from reports.paper.drawing import legend_below, new_figure, render
from reports.paper.style import INK, PAGE_INCHES, QUIET, look_of, width_inches
from reports.paper.text import caption, page, show_interval, unfinished

ABOUT = (
    "Hypervolume as a share of the fixed sweep's, one seed at a time "
    f"[{caption(StudentInterval)}]; "
    "reference: all tokens at the distortion of the smallest budget"
)
NOTE = (
    "final points: of all the row's policies together, on validation images; trajectory: all that "
    "one policy passes through in training, mean over the row's policies, against the fixed "
    "policies' last steps, on the monitored training images"
)
PANELS = {
    "final": "after training, validation images, all seeds",
    "training": "during training, monitored images, one seed",
}
COLUMNS = ["policies", "panel", "scheme", "weighting", "kind", "seed", "order", "tokens", "mse"]


def report(records: list[Record], folder: Path) -> Report:
    """Draw `hypervolume_share.png`, `.pdf` and `.csv`; a table per set of candidates as text."""
    failed, found = unfinished(records), problems(done_records(records))
    usable = [problem for problem in found if problem.seeds and problem.schemes]
    blocks = [
        f"{problem.label}: no share, for it needs policies with fixed and with other weightings "
        "on a tokenizer whose curve has a result and falls with the tokens"
        for problem in found
        if problem not in usable
    ]
    if not usable:
        return Report(text=page("Hypervolume share: nothing to compare", *blocks, failed))
    files = render(folder, "hypervolume_share", share_data(usable), draw)
    for problem in usable:
        lines = [problem.label, as_text(share_rows(problem))]
        if problem.left_out:
            seeds = ", ".join(f"{training}/{policy}" for training, policy in problem.left_out)
            lines.append(f"left out, since a fixed policy is missing: training/policy seed {seeds}")
        blocks.append("\n".join(lines))
    names = "; ".join(problem.label for problem in usable)
    alt = (
        "Distortion against mean tokens of policies under fixed and moved weightings: the edge of "
        f"the fixed sweep, the other policies, and their trajectories. {names}."
    )
    title = "Hypervolume of weightings"
    return Report(files, page(ABOUT, *blocks, NOTE, failed), title, alt)


def final_share(problem: Problem, names: list[str]) -> StudentInterval | None:
    """Share that the final points of these weightings reach together."""

    def share(seeds: Seeds) -> float | None:
        points = [final_point(problem.runs[n][seeds]) for n in names if seeds in problem.runs[n]]
        fixed = [final_point(problem.runs[n][seeds]) for n in problem.names("fixed")]
        return _ratio(problem, seeds, points, fixed) if len(points) == len(names) else None

    return _interval(problem, share)


def trajectory_share(problem: Problem, names: list[str]) -> StudentInterval | None:
    """Share that one policy's trajectory reaches, averaged over these weightings."""

    def share(seeds: Seeds) -> float | None:
        runs = [problem.runs[name].get(seeds) for name in names]
        paths = [trajectory(run) if run else [] for run in runs]
        fixed = [trajectory(problem.runs[n][seeds])[-1:] for n in problem.names("fixed")]
        if not all(paths) or not all(fixed):
            return None
        ends = [end for (end,) in fixed]
        shares = [_ratio(problem, seeds, path, ends) for path in paths]
        return None if None in shares else fmean(shares)

    return _interval(problem, share)


def _ratio(problem: Problem, seeds: Seeds, points: list[Point], fixed: list[Point]) -> float | None:
    scale = problem.scales[seeds[0]]
    whole = scale.hypervolume(fixed)
    return scale.hypervolume(points) / whole if whole else None


def _interval(problem: Problem, share: Callable[[Seeds], float | None]) -> StudentInterval | None:
    """Over training seeds where they vary, policies averaged within each; else policy seeds."""
    records = [problem.runs[problem.names("fixed")[0]][seeds] for seeds in problem.seeds]
    place = 0 if repetition_seed(records) == "training.seed" else 1
    values: dict[int, list[float]] = {}
    for seeds in problem.seeds:
        if (value := share(seeds)) is not None:
            values.setdefault(seeds[place], []).append(value)
    return student_interval([fmean(each) for each in values.values()]) if values else None


def share_rows(problem: Problem) -> list[dict[str, Any]]:
    """A row for the fixed sweep, one per scheme with all its policies, and one per policy."""
    rows = [_row(problem, "fixed", problem.names("fixed"), share=False)]
    for kind in problem.schemes:
        names = problem.names(kind)
        if len(names) > 1:
            rows.append(_row(problem, f"{kind}, all {len(names)}", names))
        rows += [_row(problem, name, [name]) for name in names]
    return rows


def _row(problem: Problem, label: str, names: list[str], *, share: bool = True) -> dict[str, Any]:
    steps, sweep = (
        sum(next(iter(problem.runs[name].values())).config.policy.steps for name in each)
        for each in (names, problem.names("fixed"))
    )
    final = final_share(problem, names) if share else None
    return {
        "weighting": label if share else f"{label}, the sweep",
        "seeds": len(problem.seeds) if final is None else final.n,
        "policies per seed": len(names),
        "policy steps": steps,
        "of the sweep's": f"{100 * steps / sweep:.0f} %",
        "final points": show_interval(final, digits=3) if share else "1",
        "trajectory": show_interval(trajectory_share(problem, names), digits=3) if share else "-",
    }


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
            line = {**style, "lw": 0.7, "ms": 2, "alpha": 0.8, "label": name, "zorder": 4}
            axes.plot(path["tokens"], path["mse"], **line)
            axes.plot(path["tokens"].iloc[-1:], path["mse"].iloc[-1:], **style, ms=6, zorder=5)


REPORT = Figure(title="Dynamic weightings against a sweep", place=120, draw=report)
