import pandas as pd
import pytest

from bench.statistics.intervals import student_interval
from reports.analysis.groups import group_by_seed
from reports.figures.prefix_curves import COLUMNS, curve_data, draw, report
from reports.paper.style import paper_style


@pytest.fixture
def made(tokenizer):
    """Two arms over three seeds, 4 tokens never trained in one of them."""

    def arm(name, gain, **options):
        return [
            tokenizer(name, psnr=[v + gain + 0.1 * s * s for v in (18, 19, 20, 21)], seed=s,
                      reference_arm="base", **options)
            for s in range(3)
        ]  # fmt: skip

    return arm("base", 0.0) + arm("better", 0.5, untrained=(4,))


def lines_of(axes, label):
    return [line for line in axes.get_lines() if line.get_label() == label]


def test_the_csv_holds_seeds_means_and_intervals(made, tmp_path):
    report(made, tmp_path)
    data = pd.read_csv(tmp_path / "prefix_curves.csv")
    assert list(data.columns) == COLUMNS
    assert set(data["metric"]) == {"psnr", "perceptual", "fd_lite0"}
    rows = data[(data["group"] == "better") & (data["metric"] == "psnr") & (data["budget"] == 8)]
    assert rows.loc[rows["kind"] == "seed", "value"].tolist() == pytest.approx([20.5, 20.6, 20.9])
    (mean,) = rows[rows["kind"] == "mean"].itertuples()
    over = student_interval([20.5, 20.6, 20.9])
    assert (mean.value, mean.low, mean.high, mean.n) == pytest.approx(
        (over.mean, over.low, over.high, 3)
    )


def test_lengths_never_trained_are_hollow_and_in_the_legend(made):
    data = curve_data(group_by_seed(made))
    with paper_style():
        figure = draw(data)
    assert [axes.get_title().split(",")[0] for axes in figure.axes] == [
        "PSNR (dB)",
        "perceptual distance",
        "FD (Lite0)",
    ]
    axes = figure.axes[0]
    hollow = [
        line for line in axes.get_lines()
        if line.get_markerfacecolor() == "white" and len(line.get_xdata())
    ]  # fmt: skip
    assert [list(line.get_xdata()) for line in hollow] == [[4]]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "base",
        "better",
        "length never trained",
    ]
    assert (axes.get_xscale(), list(axes.get_xticks())) == ("log", [2, 4, 8, 16])


def test_what_is_drawn_are_means_seeds_and_bands(made):
    data = curve_data(group_by_seed(made))
    with paper_style():
        axes = draw(data).axes[0]
    psnr = data[(data["metric"] == "psnr") & (data["group"] == "base")]
    (line,) = lines_of(axes, "base")
    assert list(line.get_ydata()) == psnr.loc[psnr["kind"] == "mean", "value"].tolist()
    dots = {
        (x, y)
        for other in axes.get_lines() if other.get_marker() == "."
        for x, y in zip(other.get_xdata(), other.get_ydata(), strict=True)
    }  # fmt: skip
    seeds = psnr[psnr["kind"] == "seed"]
    assert set(zip(seeds["budget"], seeds["value"], strict=True)) <= dots
    assert len(axes.collections) == 2  # a band per group


def test_rfid_takes_the_place_of_fd(made, vary_curve):
    known = [vary_curve(record, lambda row: {"rfid": 5.0}) for record in made]
    metrics = curve_data(group_by_seed(known))["metric"].unique()
    assert list(metrics) == ["psnr", "perceptual", "rfid"]


def test_one_seed_has_no_band_and_one_budget_no_line(tokenizer):
    records = [tokenizer(), tokenizer("short", psnr=[20.0], budgets=(4,))]
    with paper_style():
        axes = draw(curve_data(group_by_seed(records))).axes[0]
    assert len(axes.collections) == 0
    assert [lines_of(axes, name)[0].get_linestyle() for name in ("elastic", "short")] == [
        "-",
        "None",
    ]


def test_the_table_has_quality_cost_and_verdicts(made, tmp_path):
    text = report(made, tmp_path).text
    rows = [line for line in text.splitlines() if line.startswith("better")]
    half = student_interval([20.5, 20.6, 20.9]).half
    assert f"20.67 ± {half:.2f} " in rows[0]
    assert f"19.67 ± {half:.2f}* " in rows[0]
    assert rows[0].endswith(" 3.00")
    assert "* length never trained" in text
    assert rows[1].split()[1:] == ["0.5", "12", "700000", "120"]
    assert rows[2].split()[1:] == ["base", "3", "0.50", "[0.50,", "0.50]", "<", "0.001", "better"]


def test_the_difference_is_over_budgets_that_both_have(tokenizer, tmp_path):
    records = [
        tokenizer("base", psnr=[10, 20, 30], budgets=(2, 4, 8), reference_arm="base"),
        tokenizer("short", psnr=[21, 33, 99], budgets=(4, 8, 16), reference_arm="base"),
    ]
    (row,) = (
        line for line in report(records, tmp_path).text.splitlines() if "one training" in line
    )
    assert "2.00 (one seed)" in row
    assert row.endswith("one training each: no interval")


def test_without_a_reference_arm_nothing_is_compared(tokenizer, tmp_path):
    assert "Against" not in report([tokenizer()], tmp_path).text


def test_a_metric_that_a_length_lacks_is_left_out_and_no_metric_of_all_is_said(
    tokenizer, vary, tmp_path
):
    one, other = tokenizer(seed=0), tokenizer("other")
    rows = [row.model_dump() for row in one.curve]
    del rows[1]["psnr"]
    one = vary(one, curve=rows)
    text = report([one, other], tmp_path).text
    row = next(line for line in text.splitlines() if line.startswith("elastic"))
    assert row.split()[2:6] == ["18.00", "-", "20.00", "21.00"]
    other = vary(other, without=("perceptual", "fd_lite0"))
    made = report([one, other], tmp_path / "none")
    assert made.files == []
    assert "no metric of theirs is measured in all tokenizers" in made.text
