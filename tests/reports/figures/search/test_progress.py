import pandas as pd
import pytest

from bench.records.report_plugins import REPORTS
from reports.figures.search.progress import draw, report, search_data
from reports.figures.search.trials import searches
from reports.paper.style import paper_style

pytestmark = pytest.mark.usefixtures("unrendered")
SPACE = {"training.learning_rate": {"loguniform": [1e-4, 1.0]}, "tokenizer.width": {"int": [1, 99]}}
# What each trial comes to: tokens and distortion; trial 2 has a twin of another seed.
DONE = {0: (4.0, 0.03), 2: (8.0, 0.01), 3: (8.0, 0.02), 5: (2.0, 0.05)}


@pytest.fixture
def trial(tokenizer, vary, failed):
    """`trial(number, status)`: the record of a cell of a search, judged at steps 10 and 30."""

    def trial(number, status="done", seed=0, tokens=4.0, mse=0.02, objectives=None, rungs=None):
        swept = {"training.learning_rate": 10 ** -(number % 3), "tokenizer.width": 8 + 4 * number}
        rungs = rungs or [(10, 0.1 - number / 100), (30, 0.05)]
        early = {
            "metric": "mse",
            "steps": 90,
            "rungs": [{"step": step, "value": value} for step, value in rungs],
            "stopped_at": rungs[-1][0] if status == "stopped" else None,
        }
        search = {
            "name": "0" * 16,
            "algorithm": "optuna",
            "trial": number,
            "samples": 9,
            "objectives": objectives or {"mse": "minimize", "mean_tokens": "minimize"},
            "space": SPACE,
        }
        record = vary(
            tokenizer("a", seed=seed, swept=swept),
            metrics={"mean_tokens": tokens, "mse": mse},
            search=search,
            stop_early=early,
        )
        if status == "done":
            return record
        words = {"stopped": "tokenizer: stopped early at step 10 of 90", "failed": "policy: no"}
        return vary(failed(record), status=status, error=words[status])

    return trial


@pytest.fixture
def trials(trial):
    done = [trial(number, tokens=tokens, mse=mse) for number, (tokens, mse) in DONE.items()]
    twin = trial(2, seed=1, tokens=8.0, mse=0.02)
    stopped = trial(1, "stopped", rungs=[(10, 0.09)])
    return [*done, twin, stopped, trial(4, "failed")]


def test_the_front_is_of_means_of_trials_and_stopped_ones_are_in_no_result(trials, tmp_path):
    made = report(trials, tmp_path)
    assert {path.name for path in made.files} == {
        f"search-a.{kind}" for kind in ("png", "pdf", "csv")
    }
    assert made.alt == "a: optuna, 6 trials: 4 done, 1 stopped early, 1 failed."
    (one,) = searches(trials)
    assert [trial.number for trial in one.front()] == [0, 2, 5]
    assert "trial 2: mse 0.015, mean_tokens 8" in made.text
    assert "stopped at step 10: trial 1: " in made.text
    data = search_data(one)
    assert list(pd.read_csv(tmp_path / "search-a.csv").columns) == list(data.columns)
    front = data[data["panel"] == "front"]
    assert front[["trial", "x", "y", "best"]].to_numpy().tolist() == [
        [0, 4, 0.03, True], [2, 8, 0.015, True], [3, 8, 0.02, False], [5, 2, 0.05, True],
    ]  # fmt: skip
    with paper_style():
        figure = draw(search_data(one))
    first, mse, tokens, rungs = figure.axes
    assert [list(line.get_xdata()) for line in first.get_lines()] == [[4, 8, 8, 2], [2, 4, 8]]
    points, best, stopped, failed = mse.get_lines()
    assert list(points.get_ydata()) == [0.03, 0.015, 0.02, 0.05]
    assert list(best.get_ydata()) == [0.03, 0.015, 0.015, 0.015, 0.015]
    assert [list(line.get_xdata()) for line in (stopped, failed)] == [[1], [4]]
    assert tokens.get_ylabel() == "mean tokens (tokens per image)"
    crosses = [list(line.get_xdata()) for line in rungs.get_lines() if line.get_marker() == "x"]
    assert crosses == [[10]]
    assert sum(len(line.get_xdata()) for line in rungs.get_lines()) == 12


def test_one_objective_has_no_front_and_many_trials_show_what_matters(trial, tmp_path):
    made = [
        trial(number, mse=number % 3, objectives={"mse": "maximize"}, tokens=4.0)
        for number in range(9)
    ]
    (one,) = searches(made)
    assert [trial.number for trial in one.front()] == [2, 5, 8]
    assert [best for _, best in one.best_so_far(0)] == [0, 1, *[2] * 7]
    with paper_style():
        figure = draw(search_data(one))
        figure.draw_without_rendering()
    # Marks below a panel leave it its room, also where there are none.
    assert min(axes.get_position().height for axes in figure.axes) > 0.3
    assert [axes.get_title() for axes in figure.axes] == [
        "trials over time", "what matters", "rungs",
    ]  # fmt: skip
    (rate, width) = (bar.get_width() for bar in figure.axes[1].patches)
    assert rate > 0.8 > width
    assert rate + width == pytest.approx(1)
    assert "Matters for mse (fANOVA" in report(made, tmp_path).text


def test_other_reports_have_no_stopped_cells_and_there_is_none_without_a_search(
    trials, records, tmp_path
):
    assert len(REPORTS["search"].shown(trials)) == len(trials)
    assert not any(record.stopped for record in REPORTS["pareto"].shown(trials))
    assert len(REPORTS["pareto"].shown(trials)) == len(trials) - 1
    assert report(records, tmp_path).files == []
