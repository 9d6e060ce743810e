"""A search: front of its objectives, trials over time, what matters, which trainings were stopped.

Trials that were stopped early have no results: they are marked as such, and in no front.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from bench.records.protocol import require_one_protocol
from bench.records.report_plugins import Figure, Report
from reports.analysis.groups import Record
from reports.figures.search.trials import Searched, searches, title_of
from reports.paper.drawing import legend_below, panel_grid, panel_inches, render, wrapped
from reports.paper.marks import sample
from reports.paper.sheet import file_names
from reports.paper.style import INK, PALETTE, QUIET
from reports.paper.text import page, unfinished

COLUMNS = ["panel", "objective", "trial", "state", "setting", "x", "y", "best"]
FRONT, TRIALS, IMPORTANCE, RUNGS = "front", "trials", "importance", "rungs"
TITLE = "Search"
ROW_INCHES = 2.2
DONE, STOPPED, FAILED = PALETTE[0], PALETTE[1], PALETTE[3]
MATTERS = (PALETTE[2], PALETTE[4], PALETTE[5], PALETTE[6])


def report(records: list[Record], folder: Path) -> Report:
    """Draw a `search*.png`, `.pdf` and `.csv` for each search of the records' arms."""
    require_one_protocol([record.protocol for record in records if record.done])
    found, left = searches(records), unfinished(one for one in records if not one.stopped)
    if not found:
        none = "Search: not drawn, no cell of this suite is a trial of a search"
        return Report(text=page(none, left))
    files: list[Path] = []
    for one, name in zip(found, file_names("search", [one.arm for one in found]), strict=True):
        files += render(folder, name, search_data(one), draw)
    words = [in_words(one) for one in found]
    return Report(files, page(*words, left), TITLE, " ".join(lines[0] for lines in words))


def in_words(one: Searched) -> list[str]:
    """Counts, the front by its trials, and what matters most."""
    counts = Counter(trial.state for trial in one.trials)
    told = ", ".join(
        f"{counts[state]} {words}"
        for state, words in (
            ("done", "done"),
            ("stopped", "stopped early"),
            ("failed", "failed"),
            ("pending", "not run"),
        )
        if counts[state]
    )
    lines = [f"{one.arm}: {one.about.algorithm}, {len(one.trials)} trials: {told}."]
    several = len(one.objectives) > 1
    lines.append("On the front:" if several else "The best:")
    for trial in one.front():
        values = zip(one.objectives, trial.tried.values, strict=True)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values)
        lines.append(f"  trial {trial.number}: {shown}: {trial.label}")
    for place, name in enumerate(one.objectives):
        shares = sorted(one.importance(place).items(), key=lambda item: -item[1])
        if shares:
            matters = ", ".join(f"{path} {share:.2f}" for path, share in shares)
            lines.append(f"Matters for {name} (fANOVA, shares of the variance): {matters}")
    for trial in one.trials:
        if trial.stopped_at is not None:
            lines.append(f"stopped at step {trial.stopped_at}: trial {trial.number}: {trial.label}")
    return lines


def search_data(one: Searched) -> pd.DataFrame:
    """A row per drawn point; see `COLUMNS`.

    `front`: the first two objectives of each trial with results, `best` where it is on the front.
    `trials`: an objective over the trial's number, and the best one so far; those without results
    have no `y`. `importance`: shares of settings. `rungs`: values over steps of the training,
    `best` where it went on.
    """
    rows: list[tuple[Any, ...]] = []
    names, front = list(one.objectives), {trial.number for trial in one.front()}
    for trial in one.done if len(names) > 1 else ():
        x, y = trial.tried.values[1], trial.tried.values[0]
        best = trial.number in front
        rows.append((FRONT, f"{names[0]}/{names[1]}", trial.number, trial.state, None, x, y, best))
    for place, name in enumerate(names):
        best_of = dict(one.best_so_far(place))
        for trial in one.trials:
            y = trial.tried.values[place] if trial.state == "done" else None
            point = (trial.number, y, best_of.get(trial.number))
            rows.append((TRIALS, name, trial.number, trial.state, None, *point))
    for place, name in enumerate(names):
        for path, share in one.importance(place).items():
            rows.append((IMPORTANCE, name, None, None, path, share, None, None))
    for trial in one.trials:
        for step, value in trial.rungs:
            goes_on = trial.stopped_at != step
            rows.append(
                (RUNGS, one.judged_by, trial.number, trial.state, None, step, value, goes_on)
            )
    return pd.DataFrame(rows, columns=COLUMNS).astype({"best": "object"})


def draw(data: pd.DataFrame) -> Any:
    """The figure: a panel each for the front, every objective, what matters, and the rungs."""
    places = list(dict.fromkeys(zip(data["panel"], data["objective"], strict=True)))
    shown = [place for place in places if place[0] != IMPORTANCE]
    if any(panel == IMPORTANCE for panel, _ in places):
        at = next((n for n, (panel, _) in enumerate(shown) if panel == RUNGS), len(shown))
        shown.insert(at, (IMPORTANCE, ""))
    figure, panels = panel_grid(len(shown), row_inches=ROW_INCHES, inches=2.2)
    drawn = {FRONT: _front, TRIALS: _trials, IMPORTANCE: _importance, RUNGS: _rungs}
    for axes, (panel, objective) in zip(panels, shown, strict=True):
        here = data[data["panel"] == panel]
        drawn[panel](axes, here if panel == IMPORTANCE else here[here["objective"] == objective])
    legend_below(figure, handles=_handles(data))
    return figure


def _handles(data: pd.DataFrame) -> list[Any]:
    states = set(data.loc[data["panel"] == TRIALS, "state"])
    handles = [sample("trial with results", color=DONE, marker="o", ms=3.5, ls="")]
    if (data["panel"] == FRONT).any():
        handles.append(sample("on the front", color=INK, marker="o", mfc=DONE, ms=5, lw=1))
    handles.append(sample("best so far", color=INK, lw=1))
    if "stopped" in states:
        handles.append(sample("stopped early", color=STOPPED, marker="x", ms=4, ls=""))
    if "failed" in states:
        handles.append(sample("failed", color=FAILED, marker="+", ms=5, ls=""))
    objectives = data.loc[data["panel"] == IMPORTANCE, "objective"].unique()
    for place, name in enumerate(objectives):
        color = MATTERS[place % len(MATTERS)]
        label = f"matters for {title_of(name)}"
        handles.append(sample(label, color=color, marker="s", ms=5, ls=""))
    return handles


def _front(axes: Any, shown: pd.DataFrame) -> None:
    first, second = shown["objective"].iloc[0].split("/", 1)
    axes.plot(shown["x"], shown["y"], "o", color=DONE, ms=3.5, mew=0, zorder=2)
    front = shown[shown["best"] == True].sort_values("x")  # noqa: E712
    axes.plot(front["x"], front["y"], "-o", color=INK, mfc=DONE, ms=5, lw=1, zorder=3)
    axes.set(xlabel=title_of(second), ylabel=title_of(first))
    axes.set_title("front")


def _trials(axes: Any, shown: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator

    done = shown[shown["state"] == "done"]
    axes.plot(done["x"], done["y"], "o", color=DONE, ms=3.5, mew=0, zorder=2)
    best, last = shown.dropna(subset=["best"]), shown["x"].max()
    if len(best):
        numbers, values = [*best["x"], last], [*best["best"], best["best"].iloc[-1]]
        axes.step(numbers, values, where="post", color=INK, lw=1, zorder=1)
    # Without results they have no height: along the lower edge.
    edge = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 3}
    for state, mark, color in (("stopped", "x", STOPPED), ("failed", "+", FAILED)):
        numbers = shown.loc[shown["state"] == state, "x"]
        if len(numbers):  # An empty line that is not clipped has all the room of the layout.
            axes.plot(numbers, [0.02] * len(numbers), mark, color=color, ms=4, **edge)
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.set(xlabel="trial", ylabel=title_of(shown["objective"].iloc[0]))
    axes.set_title("trials over time")


def _importance(axes: Any, shown: pd.DataFrame) -> None:
    objectives = list(dict.fromkeys(shown["objective"]))
    paths = list(dict.fromkeys(shown["setting"]))
    height = 0.8 / len(objectives)
    for place, name in enumerate(objectives):
        here = shown[shown["objective"] == name].set_index("setting")["x"]
        heights = [row + (place - (len(objectives) - 1) / 2) * height for row in range(len(paths))]
        color = MATTERS[place % len(MATTERS)]
        axes.barh(heights, [here[path] for path in paths], height, color=color, zorder=2)
    inches = panel_inches(axes) / 2
    short = [".".join(path.split(".")[-2:]) for path in paths]
    axes.set_yticks(range(len(paths)), [wrapped(path, inches) for path in short], fontsize=6)
    axes.set(xlim=(0, 1), xlabel="share of importance")
    axes.invert_yaxis()
    axes.set_title("what matters")


def _rungs(axes: Any, shown: pd.DataFrame) -> None:
    from matplotlib.ticker import NullLocator

    for _, points in shown.groupby("trial"):
        points = points.sort_values("x")
        last = points.iloc[-1]
        color = DONE if last["best"] else QUIET
        axes.plot(points["x"], points["y"], "-o", color=color, ms=2.5, lw=0.8, zorder=2)
        if not last["best"]:
            axes.plot(last["x"], last["y"], "x", color=STOPPED, ms=4, zorder=3)
    steps = sorted(shown["x"].unique())
    axes.set_xscale("log")
    axes.set_xticks(steps, [f"{step:g}" for step in steps])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.12)
    axes.set(xlabel="steps", ylabel=f"validation {title_of(shown['objective'].iloc[0])}")
    axes.set_title("rungs")


REPORT = Figure(
    title=TITLE,
    alt="Trials of a search: the front of its objectives, their values over time, what matters.",
    place=25,
    draw=report,
    with_stopped=True,
)
