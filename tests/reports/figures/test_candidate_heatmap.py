import numpy as np
import pandas as pd
import pytest

from bench.statistics.intervals import student_interval
from reports.analysis.allocations import allocations
from reports.figures.candidate_heatmap import COLUMNS, draw, heatmap_data, report
from reports.paper.style import paper_style

pytestmark = pytest.mark.usefixtures("unrendered")
DUAL = {"kind": "constraint", "mean_budget": 6}
HALF = {"kind": "fixed", "efficiency": 0.5}


@pytest.fixture
def made(policy, tokenizer):
    records = [tokenizer()]
    for candidates, base in (([2, 4, 8, 16], 0.010), ([2, 16], 0.012)):
        for weighting, more in ((DUAL, 0.0), (HALF, 0.001)):
            for seed in range(2):
                swept = {"policy.candidates": candidates, "policy.weighting": weighting}
                mse = base + more + 0.0001 * seed
                records.append(policy(mse=mse, seed=seed, swept=swept, weighting=weighting))
    return records


def test_cells_are_the_means_and_their_texts_the_intervals(made, tmp_path):
    alt = report(made, tmp_path).alt
    assert "for 2 sets of candidate budgets under 2 conditions" in alt
    written = pd.read_csv(tmp_path / "candidate_heatmap.csv")
    assert list(written.columns) == COLUMNS
    assert written["candidates"].unique().tolist() == ["2-4-8-16", "2-16"]
    over = student_interval([0.010, 0.0101])
    cell = written.iloc[0]
    assert cell[["metric", "candidates", "condition", "n"]].tolist() == [
        "mse", "2-4-8-16", "constraint 6", 2,
    ]  # fmt: skip
    assert cell[["value", "low", "high"]].tolist() == pytest.approx(
        [over.mean, over.low, over.high]
    )
    with paper_style():
        figure = draw(heatmap_data(allocations(made)))
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2-4-8-16", "2-16"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["constraint 6", "fixed 0.5"]
    (image,) = axes.get_images()
    table = written[written["metric"] == "mse"].pivot(
        index="condition", columns="candidates", values="value"
    )[["2-4-8-16", "2-16"]]
    np.testing.assert_allclose(image.get_array(), 1000 * table.to_numpy())
    assert axes.get_title().replace("\n", " ").endswith("x 1000")
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    low, high = 1000 * over.low, 1000 * over.high
    assert texts[0, 0] == f"{1000 * over.mean:.2f}\n[{low:.2f}, {high:.2f}]"
    assert len(texts) == 4


def test_a_collapsed_policy_is_marked(made, vary):
    made[-1] = vary(made[-1], metrics={"collapsed": True})
    data = heatmap_data(allocations(made))
    assert data["collapsed"].max() == 1
    with paper_style():
        texts = [text.get_text() for text in draw(data).axes[0].texts]
    assert sum(text.endswith(" x") for text in texts) == 1


def test_arms_of_one_weighting_are_conditions_of_their_own(policy):
    records = [
        policy(arm, swept={"policy.candidates": candidates})
        for arm in ("plain", "other reward")
        for candidates in ([2, 4], [2, 16])
    ]
    assert set(heatmap_data(allocations(records))["condition"]) == {
        "fixed 0.5: plain",
        "fixed 0.5: other reward",
    }


@pytest.mark.parametrize("count", [0, 1])
def test_it_takes_two_sets(made, tmp_path, count):
    left = [r for r in made if r.swept.get("policy.candidates") in ([2, 16][:0], [2, 16])]
    text = report(left if count else made[:1], tmp_path).text
    assert f"choose from {('no', 'one')[count]} set of candidate budgets" in text


@pytest.mark.parametrize("size", ["column", "page"])
def test_no_text_leaves_its_cell(made, size):
    with paper_style(size):
        figure = draw(heatmap_data(allocations(made)))
        figure.draw_without_rendering()
    for axes in figure.axes:
        width = axes.get_window_extent().width / 2
        for text in axes.texts:
            assert text.get_window_extent().width < width
