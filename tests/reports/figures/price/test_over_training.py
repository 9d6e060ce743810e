import math

import pytest

from bench.compare.prices import prices
from reports.analysis.price import courses
from reports.figures.price.over_training import REPORT, course_data, draw
from reports.paper.style import paper_style


@pytest.fixture
def trained(priced, fixed_lengths):
    """Two lengths of training; the price falls from 16 to 4 %, the fixed length gains 2 %."""
    records = []
    for steps, price, scale in ((2000, 0.16, 1.0), (4000, 0.04, 0.98)):
        swept = {"training.steps": steps}
        records += priced(price=price, scale=scale, swept=swept)
        records += fixed_lengths(lengths=[2, 6], scale=scale, swept=swept)
    return records


def test_every_number_that_is_drawn_is_in_the_data(trained):
    data = course_data(courses(prices(trained).found))
    means = data[data["kind"] == "mean"].set_index(["panel", "line", "steps"])["percent"]
    assert means["mean", "mixture: the price", 4000] == pytest.approx(4)
    assert means["mean", "policy: net", 2000] == pytest.approx(4.4)
    assert means["mean", "oracle: net", 4000] == pytest.approx(100 * (1.04 * 0.86 - 1))
    assert means["budgets", "2 tokens", 4000] == pytest.approx(4)
    half = 100 * (0.98 ** math.log2(1.5) - 1)
    assert means["changes", "trained for one length", 2000] == pytest.approx(half)
    assert means["fixed changes", "2 tokens", 2000] == pytest.approx(half)
    assert len(data) == 4 * (3 * 2 + 4 + 2 + 1)


@pytest.mark.parametrize("size", ["column", "page"])
def test_the_figure_has_prices_and_changes(trained, size):
    with paper_style(size):
        figure = draw(course_data(courses(prices(trained).found)))
        figure.draw_without_rendering()
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
    assert titles == [
        "elastic price by length (%)", "elastic fixed length, half as much again (%)",
        "elastic policy price and net (%)", "elastic policy half as much again (%)",
    ]  # fmt: skip
    names = {text.get_text() for text in figure.legends[0].get_texts()}
    assert names == {"mixture: the price", "policy: net", "oracle: net", "trained for one length",
                     "2 tokens", "1 % gain"}  # fmt: skip


@pytest.mark.usefixtures("unrendered")
def test_the_text_says_how_it_goes_on(trained, fixed_lengths, priced, tmp_path):
    made = REPORT.make(trained, tmp_path, store=tmp_path)
    assert "elastic policy, at the mean of the policy: price +16.0 % [+13.2, +18.9] at 2,000 " in (
        made.alt
    )
    assert "gain from half as much again: -1.2 % [-1.2, -1.2], 1 % or more." in made.alt
    assert "2000 to 4000" in made.text
    odd = priced("odd", swept={"training.steps": 3000}, gain=None)
    assert "left out: odd: training.steps 3000 at 2 tokens: not at equal steps" in (
        REPORT.make([*trained, *odd], tmp_path, store=tmp_path).text
    )
    once = [*priced(), *fixed_lengths(lengths=[6])]
    none = REPORT.make(once, tmp_path / "none", store=tmp_path)
    assert none.files == []
    assert ": not drawn, no elastic tokenizer meets one of a single length" in none.text
