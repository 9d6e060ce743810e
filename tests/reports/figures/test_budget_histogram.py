import pandas as pd
import pytest

from bench.statistics.intervals import student_interval
from reports.analysis.allocations import allocations
from reports.figures.budget_histogram import COLUMNS, draw, histogram_data, report
from reports.paper.style import color_of, paper_style

pytestmark = pytest.mark.usefixtures("unrendered")
SHARES = {0: (0.5, 0.3, 0.2), 1: (0.4, 0.4, 0.2), 2: (0.45, 0.5, 0.05)}


@pytest.fixture
def with_shares(vary):
    """`with_shares(record, shares)`: the record with shares of 2, 4 and 16 tokens."""

    def with_shares(record, shares):
        named = zip((2, 4, 16), shares, strict=True)
        return vary(record, metrics={f"share/tokens_{budget}": share for budget, share in named})

    return with_shares


@pytest.fixture
def made(tokenizer, policy, allocator, with_shares):
    records = [tokenizer(), with_shares(allocator(tokens=4.0), (0.0, 1.0, 0.0))]
    records += [with_shares(policy(seed=seed), shares) for seed, shares in SHARES.items()]
    return records


def test_bars_and_points_are_the_csvs(made, tmp_path):
    files = report(made, tmp_path).files
    written = pd.read_csv(files[2])
    assert list(written.columns) == COLUMNS
    means = written[(written["kind"] == "mean") & (written["system"] == "policy")]
    over = student_interval([shares[0] for shares in SHARES.values()])
    first = means.iloc[0]
    assert (first["budget"], first["n"]) == (2, 3)
    assert (first["share"], first["low"], first["high"]) == pytest.approx(
        (over.mean, over.low, over.high)
    )
    with paper_style():
        figure = draw(histogram_data(allocations(made)))
        color = color_of("policy")
    (axes,) = figure.axes
    assert axes.get_title() == "elastic"
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx(written.loc[written["kind"] == "mean", "share"].tolist())
    points = [y for line in axes.get_lines() for y in line.get_ydata()]
    seeds = written.loc[written["kind"] == "seed", "share"]
    assert sorted(points) == pytest.approx(sorted(seeds))
    policies = [line for line in axes.get_lines() if line.get_color() == color]
    assert sorted(y for line in policies for y in line.get_ydata()) == pytest.approx(
        sorted(share for shares in SHARES.values() for share in shares)
    )


def test_bars_stand_at_their_budgets(made):
    with paper_style():
        (axes,) = draw(histogram_data(allocations(made))).axes
    ticks = [text.get_text() for text in axes.get_xticklabels()]
    assert ticks == ["2", "4", "16"]
    places = [round(bar.get_x() + bar.get_width() / 2) for bar in axes.patches]
    assert places == [0, 1, 2, 0, 1, 2]


def test_a_collapsed_allocation_is_crossed_and_counted(tokenizer, policy, with_shares, tmp_path):
    records = [tokenizer(), with_shares(policy(collapsed=True), (1.0, 0.0, 0.0))]
    made = report(records, tmp_path)
    assert "1 runs have collapsed" in made.alt
    with paper_style():
        figure = draw(histogram_data(allocations(records)))
    crosses = [line for line in figure.axes[0].get_lines() if line.get_marker() == "x"]
    assert sorted(y for line in crosses for y in line.get_ydata()) == [0.0, 0.0, 1.0]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "collapsed: one budget for all images" in texts


def test_lengths_that_are_no_candidates_are_named(made, allocator, tmp_path):
    own = allocator("itself", allocator={"kind": "own", "target": 0.1})
    text = report([*made, own], tmp_path).text
    assert "left out, since its lengths are no candidate budgets: itself" in text
