"""Course of training: entropy, weights and mean budget of policies, losses of tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bench.records.report_plugins import Figure, Report
from reports.analysis.groups import (
    Group,
    Record,
    done_records,
    is_allocation,
    is_policy,
    repetition_seed,
)
from reports.analysis.names import allocation_label, natural_groups, weighting_name
from reports.figures.allocation_skill import COURSES, looks, series_name, shape_of
from reports.paper.drawing import drawn, legend_below, panel_grid, panel_inches, wrapped
from reports.paper.marks import sample
from reports.paper.style import INK, QUIET, color_of
from reports.paper.text import unfinished

POLICY = COURSES | {"kl_to_reference": "KL to the reference policy (nats)"}
TOKENIZER = {"pixel_loss": "pixel loss", "quantizer_loss": "quantizer loss"}
COLUMNS = ["training", "panel", "system", "series", "weighting", "kind", "seed", "step", "value",
           "n"]  # fmt: skip


def report(records: list[Record], folder: Path) -> Report:
    """Draw `training_curves.png`, `.pdf` and `.csv`: of policies, else of tokenizers."""
    data = curves_data(done_records(records))
    return drawn(
        folder, "training_curves", data, draw, notes=unfinished(records),
        none="Training curves: not drawn, no training with a history has a result yet",
        title="Course of training", alt=lambda: _alt(data),
    )  # fmt: skip


def _alt(data: pd.DataFrame) -> str:
    what = "policies" if data["training"].iloc[0] == "policy" else "tokenizers"
    panel = "mean_budget" if what == "policies" else "pixel_loss"
    means = data[(data["panel"] == panel) & (data["kind"] == "mean")]
    last = means[means["step"] == means["step"].max()]["value"]
    names = list((POLICY | TOKENIZER)[name] for name in data["panel"].unique())
    return (
        f"Over the training steps of {means['series'].nunique()} arms of {what}: "
        f"{', '.join(names)}. At the last step the {(POLICY | TOKENIZER)[panel]} is "
        f"{last.min():.3g} to {last.max():.3g}."
    )


def curves_data(records: list[Record]) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`.

    `kind` is `seed`, a repetition by itself, or `mean`, over `n` of them. Tokenizers only where
    there is no policy. A quantity that is 0 in all of them is left out.
    """
    if policies := [*filter(is_policy, records)]:
        rows = _rows("policy", policies, POLICY)
    else:
        rows = _rows("tokenizer", [r for r in records if not is_allocation(r)], TOKENIZER)
    data = pd.DataFrame(rows, columns=COLUMNS)
    idle = data.groupby("panel")["value"].transform(lambda values: (values == 0).all())
    return data[~idle.astype(bool)].reset_index(drop=True)


def _rows(training: str, records: list[Record], panels: dict[str, str]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for group in natural_groups(records):
        for panel in panels:
            rows += [
                (training, panel, *_names(group), *row) for row in _course(group, training, panel)
            ]
    return rows


def _names(group: Group) -> tuple[str, str, str]:
    first = group.records[0]
    if is_policy(first):
        return allocation_label(first), series_name(group), weighting_name(first)
    return group.label, group.label, ""


def _course(group: Group, training: str, panel: str) -> list[tuple[Any, ...]]:
    """A row per repetition and step, and the means over repetitions that all have."""
    path = repetition_seed(group.records)
    courses: dict[Any, dict[int, list[float]]] = {}
    for record in group.records:
        for row in record.histories.get(training, ()):
            if panel in row and (value := row.value(panel)) is not None:
                course = courses.setdefault(record.setting(path), {})
                course.setdefault(row.step, []).append(value)
    means = {
        seed: {step: sum(each) / len(each) for step, each in course.items()}
        for seed, course in courses.items()
    }
    rows: list[tuple[Any, ...]] = [
        ("seed", seed, step, value, 1)
        for seed, course in means.items()
        for step, value in course.items()
        if len(means) > 1
    ]
    for step in sorted({step for course in means.values() for step in course}):
        values = [course[step] for course in means.values() if step in course]
        rows.append(("mean", None, step, sum(values) / len(values), len(values)))
    return rows


def draw(data: pd.DataFrame) -> Any:
    """The figure: a panel per quantity; thin lines are seeds, thick ones their mean."""
    panels = list(data["panel"].unique())
    policies = data["training"].iloc[0] == "policy"
    if policies:
        colours, numbers = looks(data)
    else:
        colours = {name: color_of(name) for name in data["series"].unique()}
        numbers = {"": 0}
    figure, grid = panel_grid(len(panels), row_inches=1.9, inches=2.2)
    for axes, panel in zip(grid, panels, strict=True):
        here = data[data["panel"] == panel]
        for (series, weighting), shown in here.groupby(["series", "weighting"], sort=False):
            color = colours.get(series) or colours[weighting]
            dashes = shape_of(numbers[weighting])["ls"]
            _draw_course(axes, shown, color, dashes)
        what = "policy" if policies else "tokenizer"
        steps = wrapped(f"training step of the {what}", panel_inches(axes))
        axes.set(xlabel=steps, ylabel=(POLICY | TOKENIZER)[panel])
    _legend(figure, data, colours, numbers)
    return figure


def _draw_course(axes: Any, shown: pd.DataFrame, color: str, dashes: Any) -> None:
    for _, course in shown[shown["kind"] == "seed"].groupby("seed"):
        axes.plot(course["step"], course["value"], color=color, lw=0.4, alpha=0.6, zorder=2)
    mean = shown[shown["kind"] == "mean"]
    axes.plot(mean["step"], mean["value"], color=color, ls=dashes, lw=1.1, zorder=3)


def _legend(
    figure: Any, data: pd.DataFrame, colours: dict[str, str], numbers: dict[str, int]
) -> None:
    handles = [sample(name, color=color, lw=2) for name, color in colours.items()]
    if set(numbers) != {""} and set(colours) != set(numbers):
        handles += [
            sample(name, color=QUIET, ls=shape_of(number)["ls"], lw=1)
            for name, number in numbers.items()
        ]
    several = (data["n"] > 1).any()
    if several:
        handles.append(sample("one seed", color=INK, lw=0.4, alpha=0.6))
    legend_below(figure, handles=handles, title="thick: means over seeds" if several else None)


REPORT = Figure(title="Training", place=100, draw=report)
