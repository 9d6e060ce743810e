import pandas as pd
import pytest

from reports.figures.training_curves import COLUMNS, curves_data, draw, report
from reports.paper.style import color_of, paper_style

pytestmark = pytest.mark.usefixtures("unrendered")


@pytest.fixture
def policies(policy):
    return [
        policy(arm, seed=seed, course=((9.0 + seed, 0.02), (7.0, 0.015)))
        for arm in "ab"
        for seed in (0, 1)
    ]


@pytest.fixture
def trained(tokenizer, vary):
    """Two seeds of a tokenizer's training with a loss that falls."""

    def trained(seed):
        rows = [
            {"step": step, "pixel_loss": (3 - step / 100 + seed) / 100, "quantizer_loss": 0.0}
            for step in (100, 200)
        ]
        return vary(tokenizer(seed=seed), histories={"tokenizer": rows})

    return [trained(0), trained(1)]


def test_policies_courses_and_their_means(policies, tmp_path):
    made = report(policies, tmp_path)
    written = pd.read_csv(tmp_path / "training_curves.csv")
    assert list(written.columns) == COLUMNS
    assert list(written["panel"].unique()) == ["entropy", "weight_efficiency", "mean_budget"]
    course = written[(written["panel"] == "mean_budget") & (written["system"] == "a")]
    seeds, mean = course[course["kind"] == "seed"], course[course["kind"] == "mean"]
    assert seeds["value"].tolist() == [9.0, 7.0, 6.0, 10.0, 7.0, 6.0]
    assert mean[["step", "value", "n"]].to_numpy().tolist() == [
        [25, 9.5, 2],
        [50, 7, 2],
        [75, 6, 2],
    ]
    assert "2 arms of policies" in made.alt
    with paper_style():
        figure = draw(curves_data(policies))
        color = color_of("a")
    axes = figure.axes[2]
    lines = [line for line in axes.get_lines() if line.get_color() == color]
    drawn = [list(line.get_ydata()) for line in lines]
    assert drawn == [[9.0, 7.0, 6.0], [10.0, 7.0, 6.0], [9.5, 7.0, 6.0]]
    assert lines[2].get_linewidth() > lines[0].get_linewidth()
    shown = written[written["panel"] == "mean_budget"]
    assert sum(len(line.get_ydata()) for line in axes.get_lines()) == len(shown)


def test_tokenizers_losses_where_there_is_no_policy(trained, tmp_path):
    made = report(trained, tmp_path)
    assert "tokenizers: pixel loss. At the last step the pixel loss is 0.015 to 0.015" in made.alt
    data = curves_data(trained)
    assert list(data["panel"].unique()) == ["pixel_loss"]  # the other is 0 throughout
    with paper_style():
        (axes,) = draw(data).axes
    assert [list(line.get_ydata()) for line in axes.get_lines()] == [
        pytest.approx([0.02, 0.01]),
        pytest.approx([0.03, 0.02]),
        pytest.approx([0.025, 0.015]),
    ]


def test_policies_trainings_come_before_tokenizers(trained, policies):
    assert set(curves_data([*trained, *policies])["training"]) == {"policy"}


def test_one_seed_is_its_own_mean(policies):
    data = curves_data(policies[:1])
    assert set(data["kind"]) == {"mean"}
    with paper_style():
        figure = draw(data)
    assert figure.legends[0].get_title().get_text() == ""


def test_records_without_a_history_are_said_to_have_none(tokenizer, tmp_path):
    text = report([tokenizer()], tmp_path).text
    assert text.startswith("Training curves: not drawn, no training with a history")
