"""Price of being elastic over the length of training, and what more training gains each side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.records.report_plugins import Figure, Report
from bench.records.tables import as_text
from bench.statistics.intervals import PairedDifference
from reports.analysis.groups import Record, protocol_line
from reports.analysis.price import FLAT, Change, Course, courses, percents, suite_prices
from reports.paper.drawing import (
    budget_axis,
    legend_below,
    panel_grid,
    panel_inches,
    render,
    wrapped,
)
from reports.paper.marks import beside, draw_mean, sample
from reports.paper.style import INK, MARKERS, PAGE_INCHES, PALETTE, QUIET, width_inches
from reports.paper.text import caption, page, show_share, unfinished

COLUMNS = ["course", "panel", "line", "steps", "to_steps", "kind", "seed", "percent", "low",
           "high", "n", "tokens", "lengths"]  # fmt: skip
TITLE = "Price of being elastic over training"
MEAN, BUDGETS, CHANGES, FIXED = "mean", "budgets", "changes", "fixed changes"
JOINED, APART = 0.16, 0.6  # Octaves over which the points at one number of steps are spread.
HEADS = {
    MEAN: "price and net (%)",
    CHANGES: "half as much again (%)",
    BUDGETS: "price by length (%)",
    FIXED: "fixed length, half as much again (%)",
}
LINES = {"price": "mixture: the price", "net": "policy: net", "oracle": "oracle: net"}
SIDES = {
    "fixed": "trained for one length",
    "elastic": LINES["price"],
    "policy": LINES["net"],
    "oracle": LINES["oracle"],
}
BUDGET_SIDES = {"fixed": SIDES["fixed"], "elastic": "elastic, cut"}
LOOKS = {
    SIDES["fixed"]: {"color": INK, "marker": "s"},
    SIDES["elastic"]: {"color": PALETTE[1], "marker": MARKERS[1]},
    SIDES["policy"]: {"color": PALETTE[0], "marker": MARKERS[0]},
    SIDES["oracle"]: {"color": PALETTE[2], "marker": MARKERS[2]},
}


def report(records: list[Record], folder: Path) -> Report:
    """Draw `price_over_training.png`, `.pdf` and `.csv`; prices and changes as text."""
    failed = unfinished(records)
    prices = suite_prices(records)
    found = sorted(courses(prices.found), key=lambda course: course.budget is not None)
    if not found:
        none = (
            "Price over training: not drawn, no elastic tokenizer meets one of a single length at "
            "equal cost after two or more lengths of training"
        )
        return Report(text=page(none, failed))
    files = render(folder, "price_over_training", course_data(found), draw)
    unequal = [row for row in prices.found if not (row.cost.equal_steps or row.cost.equal_passes)]
    left_out = [f"left out: {row.arm} {row.place}: {row.cost.words}" for row in unequal]
    said = [course for course in found if course.budget is None] or found
    lines = [_sentence(course) for course in said]
    text = page(protocol_line(records), *tables(found), lines, left_out, failed)
    return Report(files, text, TITLE, " ".join(lines))


def _sentence(course: Course) -> str:
    """The price at the first and last length, who is ahead there, and whether it goes on."""
    first, last = course.rows[0], course.rows[-1]
    ends = [f"{show_share(row.price.share)} at {row.steps:,} steps" for row in (first, last)]
    words = f"{course.label}, {last.place}: price {ends[0]}, {ends[1]}"
    if last.parts is not None:
        net, oracle = show_share(last.parts.net.share), show_share(last.parts.oracle.share)
        words += f"; net there {net}, the oracle's {oracle}"
    for one in course.changes():
        if (one.side, one.end) == ("fixed", last.steps):
            share = show_share(one.from_half_again.share)
            words += f"; the fixed length's last gain from half as much again: {share}, {one.words}"
    return f"{words}."


def course_data(found: Sequence[Course]) -> pd.DataFrame:
    """A row per drawn point, in %; see `COLUMNS`. Changes go from `steps` to `to_steps`."""
    rows: list[tuple[Any, ...]] = []
    for course in found:
        at_mean = course.budget is None
        for row in course.rows:
            about = (round(row.tokens, 3), "-".join(map(str, row.lengths)))
            lines = LINES if at_mean else {"price": f"{course.budget} tokens"}
            for part, line in lines.items():
                point = (course.label, MEAN if at_mean else BUDGETS, line, row.steps, None)
                rows += [(*point, *each, *about) for each in percents(row.ratios[part])]
        for change in course.changes():
            if at_mean or change.side == "fixed":
                line = SIDES[change.side] if at_mean else f"{course.budget} tokens"
                panel = CHANGES if at_mean else FIXED
                point = (course.label, panel, line, change.start, change.end)
                points = percents(change.from_half_again)
                rows += [(*point, *each, None, None) for each in points]
    return pd.DataFrame(rows, columns=COLUMNS)


def draw(data: pd.DataFrame) -> Any:
    """The figure: panels of each recipe: its prices, and what more training gains."""
    labels = list(dict.fromkeys(data["course"]))
    shown = dict.fromkeys(zip(data["course"], data["panel"], strict=True))
    order = sorted(shown, key=lambda one: (labels.index(one[0]), [*HEADS].index(one[1])))
    # The two panels of a recipe stand in one row: two or four across.
    pairs = len(order) % 4 == 0 or width_inches() < PAGE_INCHES
    figure, panels = panel_grid(len(order), row_inches=2.0, inches=1.65 if pairs else 3.3)
    for axes, (course, panel) in zip(panels, order, strict=True):
        here = data[(data["course"] == course) & (data["panel"] == panel)]
        _draw_panel(axes, here, panel, _looks(data))
        above = [wrapped(course, panel_inches(axes))] if len(labels) > 1 else []
        axes.set_title("\n".join([*above, wrapped(HEADS[panel], panel_inches(axes))]))
    _legend(figure, data)
    return figure


def _looks(data: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Colour and marker of each line; budgets take those that no side has."""
    free, looks = PALETTE[len(LINES) :], {}
    for line in dict.fromkeys(data["line"]):
        i = len(looks.keys() - LOOKS.keys())
        own = {"color": free[i % len(free)], "marker": MARKERS[(i + 3) % len(MARKERS)]}
        looks[line] = LOOKS.get(line, own)
    return looks


def _draw_panel(axes: Any, data: pd.DataFrame, panel: str, looks: dict[str, Any]) -> None:
    axes.axhline(0, color=INK, lw=0.8, zorder=1)
    changes = panel in (CHANGES, FIXED)
    if changes:
        axes.axhline(100 * FLAT, color=QUIET, lw=0.9, ls="--", zorder=1)
    lines = list(dict.fromkeys(data["line"]))
    for place, line in enumerate(lines):
        # Beside each other on a log axis, so that no interval hides another.
        shift = 2 ** ((APART if changes else JOINED) * beside(place, len(lines)))
        _draw_line(axes, data[data["line"] == line], looks[line], shift, joined=not changes)
    steps = sorted({*data["steps"], *data["to_steps"].dropna()})
    budget_axis(axes, steps)
    axes.set_xlim(steps[0] * 2**-0.3, steps[-1] * 2**0.3)
    axes.set_xlabel("optimizer steps")


def _draw_line(
    axes: Any, data: pd.DataFrame, look: dict[str, Any], shift: float, *, joined: bool
) -> None:
    """Means with their intervals; between them thin lines of seeds, or the span of a change."""
    color = look["color"]
    ends = data["to_steps"].where(data["to_steps"].notna(), data["steps"])
    data = data.assign(at=shift * (data["steps"] * ends.astype(float)) ** 0.5)
    means = data[data["kind"] == "mean"].sort_values("at")
    for _, seed in data[data["kind"] == "seed"].groupby("seed"):
        thin = {"color": color, "lw": 0.5 if joined else 0, "alpha": 0.5}
        seed = seed.sort_values("at")
        axes.plot(seed["at"], seed["percent"], marker=".", ms=3, mew=0, **thin, zorder=2)
    if joined:
        axes.plot(means["at"], means["percent"], color=color, lw=1.2, zorder=3)
    else:
        axes.hlines(means["percent"], means["steps"], means["to_steps"], color=color, lw=0.9,
                    alpha=0.7, zorder=2)  # fmt: skip
    for mean in means.itertuples():
        bar = {"color": color, "fmt": look["marker"], "ms": 3.5, "capsize": 2, "elinewidth": 0.9}
        draw_mean(axes, mean.at, mean.percent, mean, **bar, zorder=4)


def _legend(figure: Any, data: pd.DataFrame) -> None:
    handles = [sample(line, **look, ms=3.5, lw=1.2) for line, look in _looks(data).items()]
    panels = set(data["panel"])
    if panels & {CHANGES, FIXED}:
        handles.append(sample("1 % gain", color=QUIET, lw=0.9, ls="--"))
    title = "change of distortion; lower is better"
    title += "\nprice, net: over the tokenizer trained for that length"
    if panels & {CHANGES, FIXED}:
        title += "\nhalf as much again: change by 1.5 times the steps"
    if (data["n"] > 1).any():
        title += f"\nthin lines, dots: training seeds; bars: {caption(PairedDifference)}"
    legend_below(figure, handles=handles, title=title)


def tables(found: Sequence[Course]) -> list[str]:
    """Blocks of text: prices by steps, and changes per doubling and from half as much again."""
    prices = [_price_row(course, place) for course in found for place in range(len(course.rows))]
    changes = [_change_row(course, one) for course in found for one in course.changes()]
    about = f"[{caption(PairedDifference)}]"
    blocks = [f"Distortion over the fixed length's, minus 1 {about}\n{as_text(prices, keys=2)}"]
    if changes:
        blocks.append(
            "Change of each side's distortion by more training: per doubling, and from half as "
            f"much again on a straight line of logarithms {about}\n{as_text(changes, keys=2)}"
        )
    return blocks


def _price_row(course: Course, place: int) -> dict[str, Any]:
    row = course.rows[place]
    return {
        "elastic": course.label,
        "place": row.place.removeprefix("at "),
        "steps": row.steps,
        "cost": row.cost.words,
        "seeds": row.price.n,
        **{n: show_share(row.ratios[n].share) if n in row.ratios else "-" for n in LINES},
    }


def _change_row(course: Course, one: Change) -> dict[str, Any]:
    return {
        "elastic": course.label,
        "place": course.rows[0].place.removeprefix("at "),
        "side": SIDES[one.side] if course.budget is None else BUDGET_SIDES[one.side],
        "steps": f"{one.start} to {one.end}",
        "per doubling": show_share(one.per_doubling.share),
        "from half as much again": show_share(one.from_half_again.share),
        "gain": one.words,
    }


REPORT = Figure(title=TITLE, place=23, draw=report)
