import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from bench.statistics.intervals import holm, paired_difference
from reports.figures.ablation_bars import COLUMNS, ablation_data, draw, report
from reports.paper.style import PALETTE, QUIET, paper_style

pytestmark = pytest.mark.usefixtures("unrendered")
REFERENCE = {0: 20.0, 1: 20.1, 2: 19.9}
BETTER = {0: 21.0, 1: 21.11, 2: 20.9}
SAME = {0: 20.2, 1: 19.7, 2: 20.1}


@pytest.fixture
def made(tokenizer):
    return [
        tokenizer(arm, psnr=[psnr] * 4, seed=seed, reference_arm="plain")
        for arm, values in (("plain", REFERENCE), ("better", BETTER), ("same", SAME))
        for seed, psnr in values.items()
    ]


def test_differences_are_paired_by_seed_and_corrected(made, tmp_path):
    alt = report(made, tmp_path).alt
    assert "in PSNR: 1 better, 1 no difference shown at 5 % after Holm" in alt
    assert "The largest is +1 dB: better." in alt
    written = pd.read_csv(tmp_path / "ablation_bars.csv")
    assert list(written.columns) == COLUMNS
    means = written[(written["kind"] == "mean") & (written["metric"] == "psnr")]
    pairs = [paired_difference(values, REFERENCE) for values in (BETTER, SAME)]
    assert means["system"].tolist() == ["better", "same"]
    for column, expected in (
        ("difference", [one.mean for one in pairs]),
        ("low", [one.low for one in pairs]),
        ("high", [one.high for one in pairs]),
        ("p_holm", holm([one.p for one in pairs])),
    ):
        assert means[column].tolist() == pytest.approx(expected)
    seeds = written[(written["kind"] == "seed") & (written["metric"] == "psnr")]
    assert seeds["difference"].tolist() == pytest.approx([1.0, 1.01, 1.0, 0.2, -0.4, 0.2])


def test_a_metric_that_is_better_low_keeps_its_sign(made):
    data = ablation_data(made, "plain")
    (row,) = data[
        (data["metric"] == "fd_lite0") & (data["kind"] == "mean") & (data["system"] == "better")
    ].itertuples()
    assert row.difference == pytest.approx(-100 * 3.01 / 3)
    assert row.low < row.difference < row.high < 0
    assert row.verdict == "better"


def test_bars_and_points_are_the_csvs(made):
    data = ablation_data(made, "plain")
    with paper_style():
        figure = draw(data)
    for axes, metric in zip(figure.axes, data["metric"].unique(), strict=True):
        shown = data[data["metric"] == metric]
        means = shown[shown["kind"] == "mean"]
        assert [bar.get_width() for bar in axes.patches] == means["difference"].tolist()
        points = [line.get_xdata()[0] for line in axes.get_lines() if line.get_marker() == "."]
        assert points == shown.loc[shown["kind"] == "seed", "difference"].tolist()
    psnr = figure.axes[0]
    colours = [bar.get_facecolor()[:3] for bar in psnr.patches]
    assert colours == [to_rgb(PALETTE[0]), to_rgb(QUIET)]
    assert psnr.get_xlabel() == "PSNR (dB)\nhigher is better"
    assert [text.get_text() for text in psnr.get_yticklabels()] == ["better", "same"]
    title = figure.legends[0].get_title().get_text().replace("\n", " ")
    assert "differences to 'plain'" in title
    assert "verdicts at 5% after Holm" in title


def test_policies_are_compared_by_skill(policy):
    records = [
        policy(arm, skill=skill + 0.01 * seed, seed=seed, reference_arm="a")
        for arm, skill in (("a", 0.5), ("b", 0.4))
        for seed in (0, 1)
    ]
    data = ablation_data(records, "a")
    assert set(data["of"]) == {"policies"}
    (mean,) = data[(data["metric"] == "allocation_skill") & (data["kind"] == "mean")].itertuples()
    assert (mean.difference, mean.verdict) == (pytest.approx(-0.1), "worse")


def test_more_tokens_are_neither_better_nor_worse(policy):
    records = [
        policy(arm, tokens=tokens + 0.01 * seed, seed=seed, reference_arm="a")
        for arm, tokens in (("a", 6.0), ("b", 7.0))
        for seed in (0, 1)
    ]
    data = ablation_data(records, "a")
    (mean,) = data[(data["metric"] == "mean_tokens") & (data["kind"] == "mean")].itertuples()
    assert (mean.difference, mean.verdict) == (pytest.approx(1.0), "more")
    with paper_style():
        figure = draw(data)
    (axes,) = (axes for axes in figure.axes if axes.get_xlabel().startswith("mean tokens"))
    assert axes.get_xlabel() == "mean tokens\nneither way is better"
    assert axes.patches[0].get_facecolor()[:3] == to_rgb(QUIET)


def test_one_seed_has_no_interval(made):
    single = [record for record in made if record.swept["training.seed"] == 0]
    data = ablation_data(single, "plain")
    assert data.loc[data["kind"] == "mean", "low"].isna().all()
    with paper_style():
        figure = draw(data)
    assert "one seed each" in figure.legends[0].get_title().get_text()


def test_what_cannot_be_compared_is_told(made, tokenizer, tmp_path):
    assert "names no reference_arm" in report([tokenizer()], tmp_path).text
    text = report(made[:3], tmp_path).text
    assert "no arm has results of the same seeds as reference arm 'plain'" in text
