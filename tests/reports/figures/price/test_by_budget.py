import pandas as pd
import pytest

from bench.compare.prices import prices
from reports.figures.price.by_budget import REPORT, draw, price_data
from reports.paper.style import paper_style


@pytest.fixture
def make(tmp_path):
    return lambda records: REPORT.make(records, tmp_path, store=tmp_path)


def test_every_number_that_is_drawn_is_in_the_data(priced, fixed_lengths):
    data = price_data(prices([*priced(), *fixed_lengths(lengths=[2, 6])]).found)
    means = data[data["kind"] == "mean"]
    assert list(means["part"]) == ["price", "price", "gain", "net", "possible", "oracle"]
    assert list(means["percent"]) == pytest.approx([16, 16, -10, 4.4, -14, -0.24])
    assert list(means["budget"].isna()) == [False, *[True] * 5]
    assert set(data["system"]) == {"elastic"}
    assert set(data["equal"]) == {"steps"}
    assert len(data) == 6 * (3 + 1)
    assert (means.iloc[0]["low"], means.iloc[0]["verdict"]) == (pytest.approx(13.154, rel=1e-4),
                                                                "worse")  # fmt: skip


def test_an_arm_with_two_policies_has_two_names_there(priced, fixed_lengths, vary):
    records = [*priced(), *fixed_lengths(lengths=[2, 6])]
    others = [
        vary(one, arm="other", group="other", cell_key=f"o{one.cell_key}", label="other",
             settings={"policy.steps": 7})
        for one in records if one.config.policy
    ]  # fmt: skip
    data = price_data(prices([*records, *others]).found)
    assert list(dict.fromkeys(data["system"])) == ["elastic", "elastic policy", "other"]


@pytest.mark.parametrize("size", ["column", "page"])
def test_the_figure_has_a_row_per_arm_a_panel_per_budget_and_part_and_no_formulas(
    priced, fixed_lengths, size
):
    other = priced("other", **{"training.lengths": {"full_share": 0.5}})
    long = fixed_lengths("long", lengths=[4], swept={"training.steps": 4000})
    records = [*priced("cost $x_1$"), *other, *fixed_lengths(lengths=[2, 6]), *long]
    with paper_style(size):
        figure = draw(price_data(prices(records).found))
        figure.draw_without_rendering()
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
    assert titles == ["2 tokens", "4 tokens", "being elastic", "choosing by image", "net",
                      "the oracle's choice", "the oracle's net"]  # fmt: skip
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert names == ["cost $x_1$", "", "other", ""]  # Hollow ones below, at 4 tokens alone.
    names = [tick.get_text() for tick in figure.axes[2].get_yticklabels()]
    assert names == ["cost $x_1$", "other"]
    labels = [text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()]
    assert labels == ["one training seed", "hollow: not at equal cost"]
    assert "bars: 95 % Student t over seeds" in figure.legends[0].get_title().get_text()


@pytest.mark.usefixtures("unrendered")
def test_text_and_alternative_say_the_price_and_what_has_none(priced, fixed_lengths, failed, make):
    elastic, fixed = priced(), fixed_lengths(lengths=[2, 6])
    fixed[3] = failed(fixed[3])
    made = make([*elastic, *fixed])
    assert [path.name for path in made.files] == ["price.png", "price.pdf", "price.csv"]
    assert made.alt.startswith("Price of being elastic (elastic policy, 5.75 against 6 tokens")
    assert "failed: fixed: tokenizer.budgets [6], seed 0: tokenizer: DivergedError" in made.text
    assert "n = 2 training seeds" in made.text
    assert "is trained for 4, 8, 16 tokens alone" in made.text
    csv = pd.read_csv(made.files[2])
    assert set(csv[(csv["part"] == "net") & (csv["kind"] == "mean")]["n"]) == {2}
    none = make(elastic)
    assert none.files == []
    assert none.text.startswith("Price: not drawn, no elastic tokenizer and no tokenizer of a")


def test_one_seed_is_drawn_without_an_interval(priced, fixed_lengths):
    data = price_data(prices([*priced(seeds=(0.0,)), *fixed_lengths(lengths=[2])]).found)
    assert (data["kind"] == "mean").all()
    assert data["low"].isna().all()
    with paper_style("column"):
        figure = draw(data)
    assert "Student" not in figure.legends[0].get_title().get_text()
