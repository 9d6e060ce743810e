"""Did dynamic weighting remove the sweep? Hypervolume it reaches of a sweep over fixed weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.records.report_plugins import Report
from bench.records.tables import as_text
from bench.statistics.intervals import StudentInterval, student_interval
from reports.analysis.groups import Record, done_records, repetition_seed, setting
from reports.analysis.weighting_problems import (
    Point,
    Problem,
    Seeds,
    final_point,
    problems,
    trajectory,
)
from reports.figures.hypervolume_figure import draw, share_data
from reports.paper.drawing import render
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


def report(records: list[Record], folder: Path) -> Report:
    """Draw `hypervolume_share.png`, `.pdf` and `.csv`; a table per set of candidates as text.

    Raises:
        UserError: the records' protocols differ.
    """
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
        paths = [trajectory(problem.runs[n].get(seeds, {"histories": {}})) for n in names]
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
        sum(setting(next(iter(problem.runs[name].values())), "policy.steps") for name in each)
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
