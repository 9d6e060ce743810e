import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from bench.metrics.declared import METRICS
from reports.figures.pareto import COLUMNS, draw, pareto_data, report
from reports.paper.style import PALETTE, paper_style


def points_of(axes):
    """Everything that is plotted, as (label, x, y)."""
    return {
        (line.get_label(), float(x), float(y))
        for line in axes.get_lines()
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }


def shown_as(row):
    return f"_{row['series']}" if row["kind"] == "mean of seeds" else row["series"]


@pytest.fixture
def many(done, vary, vary_curve):
    """Two tokenizers, two arms of policies on the first with the same sweep, rFID everywhere."""
    elastic, first, second, fixed = done
    other = vary(elastic, arm="other", settings={"tokenizer.lora.rank": 0})
    swept = {"policy.weighting": {"kind": "fixed", "efficiency": 0.5}}
    records = [
        elastic,
        other,
        vary(first, swept=swept),
        vary(second, swept=swept, arm="rival", metrics={"mean_tokens": 3.5}),
        fixed,
    ]
    return [
        vary_curve(vary(one, metrics={"rfid": 5.0}), lambda row: {"rfid": 6.0 + row.budget})
        for one in records
    ]


def test_the_data_are_the_records_values(done):
    data = pareto_data(done)
    assert list(data.columns) == COLUMNS
    assert set(data["metric"]) == {"mse", "fd_lite0"}
    assert set(data["tokenizer"]) == {"elastic"}
    elastic, first, second, fixed = done
    budgets = data[data["kind"] == "fixed budget"]
    for metric in ("mse", "fd_lite0"):
        rows = budgets[budgets["metric"] == metric]
        assert rows["tokens"].tolist() == [1, 2, 4]
        assert rows["value"].tolist() == [row.value(metric) for row in elastic.curve]
    policies = data[(data["kind"] == "policy") & (data["metric"] == "mse")]
    assert policies["seed"].tolist() == [0, 1]
    for column, name in (("tokens", "mean_tokens"), ("value", "mse")):
        assert policies[column].tolist() == [r.metrics.value(name) for r in (first, second)]
    (length,) = data[(data["kind"] == "fixed length") & (data["metric"] == "mse")].itertuples()
    assert (length.tokens, length.value) == (2.0, fixed.metrics.value("mse"))
    for kind, name in (("agnostic mixture", "agnostic"), ("oracle", "oracle")):
        rows = data[data["kind"] == kind]
        assert rows[["tokens", "value"]].to_numpy().tolist() == [
            *map(list, elastic.trade_offs[name])
        ]
        assert set(rows["metric"]) == {"mse"}


def test_what_is_plotted_is_what_the_csv_holds(many, tmp_path):
    report(many, tmp_path)
    written = pd.read_csv(tmp_path / "pareto.csv")
    with paper_style():
        figure = draw(pareto_data(many))
    facets, metrics = ["elastic", "other"], list(dict.fromkeys(written["metric"]))
    assert set(metrics) == {"mse", "rfid", "fd_lite0"}
    grid = np.array(figure.axes).reshape(len(metrics), len(facets))
    for axes_row, metric in zip(grid, metrics, strict=True):
        for axes, facet in zip(axes_row, facets, strict=True):
            rows = written[(written["tokenizer"] == facet) & (written["metric"] == metric)]
            expected = {(shown_as(row), row["tokens"], row["value"]) for _, row in rows.iterrows()}
            assert points_of(axes) == expected
            assert len(expected) >= 4
            assert axes.get_xscale() == "log"
    assert [axes.get_title() for axes in grid[0]] == facets
    assert [axes.get_ylabel() for axes in grid[:, 0]] == [
        METRICS[metric].caption for metric in metrics
    ]
    assert {axes.get_xlabel() for axes in grid[-1]} == {"mean tokens per image"}


def test_a_policy_is_drawn_beside_its_own_tokenizer_only(many):
    data = pareto_data(many)
    assert set(data.loc[data["kind"] == "policy", "tokenizer"]) == {"elastic"}
    assert set(data.loc[data["kind"] == "fixed length", "tokenizer"]) == {"elastic", "other"}


def test_arms_with_the_same_sweep_are_two_series(many):
    data = pareto_data(many)
    assert list(data.loc[data["kind"] == "policy", "series"].unique()) == [
        "policy, fixed efficiency 0.5",
        "rival, fixed efficiency 0.5",
    ]


def test_the_legend_names_everything_once(many):
    with paper_style():
        figure = draw(pareto_data(many))
    (legend,) = figure.legends
    assert sorted(text.get_text() for text in legend.get_texts()) == [
        "agnostic mixture",
        "fixed budget",
        "oracle",
        "policy, fixed efficiency 0.5",
        "rival, fixed efficiency 0.5",
        "trained for one length",
    ]


def test_many_policies_can_be_told_apart(done, vary):
    elastic, policy = done[:2]
    policies = [vary(policy, arm=f"arm {index}") for index in range(20)]
    with paper_style():
        figure = draw(pareto_data([elastic, *policies]))
    looks = {
        (matplotlib.colors.to_hex(line.get_color()), line.get_marker())
        for line in figure.axes[0].get_lines()
        if line.get_label().startswith("arm")
    }
    assert len(looks) == 20


def test_a_suite_with_failed_cells_is_drawn_without_them(records, done, tmp_path):
    made = report(records, tmp_path)
    assert sorted(path.name for path in made.files) == ["pareto.csv", "pareto.pdf", "pareto.png"]
    assert made.text == ""
    assert (tmp_path / "pareto.csv").read_text() == pareto_data(done).to_csv(index=False)


def test_a_collapsed_policy_is_a_cross_in_its_colour(done, vary):
    elastic, policy = done[:2]
    collapsed = vary(
        policy, metrics={"collapsed": True, "allocation_skill": None, "mean_tokens": 4.0}
    )
    data = pareto_data([elastic, collapsed])
    (point,) = data[(data["kind"] == "policy") & (data["metric"] == "mse")].itertuples()
    assert (point.tokens, point.seed, point.mark) == (4.0, 0, "collapsed")
    with paper_style():
        figure = draw(data)
    (cross,) = (
        line
        for line in figure.axes[0].get_lines()
        if line.get_marker() == "x" and len(line.get_xdata())
    )
    assert (list(cross.get_xdata()), cross.get_color()) == ([4.0], PALETTE[0])
    (legend,) = figure.legends
    assert "collapsed (in its colour)" in [t.get_text() for t in legend.get_texts()]


def test_lengths_never_trained_are_hollow(tokenizer):
    data = pareto_data([tokenizer(untrained=(4,))])
    assert set(data.loc[data["mark"] == "length never trained", "tokens"]) == {4.0}
    with paper_style():
        figure = draw(data)
    (hollow,) = (line for line in figure.axes[0].get_lines() if "never trained" in line.get_label())
    assert (list(hollow.get_xdata()), hollow.get_markerfacecolor()) == ([4.0], "white")
    (filled,) = (line for line in figure.axes[0].get_lines() if line.get_label() == "fixed budget")
    assert list(filled.get_xdata()) == [2.0, 8.0, 16.0]


@pytest.mark.parametrize("which", ["none done", "no elastic"])
def test_without_an_elastic_tokenizer_nothing_is_drawn_and_that_is_said(
    records, done, tmp_path, which
):
    left = (
        [record for record in records if record.status == "failed"]
        if which == "none done"
        else done[1:]
    )
    made = report(left, tmp_path / "out")
    assert made.files == []
    assert made.text == "Pareto figure: not drawn, no elastic tokenizer has a result yet"
    assert not (tmp_path / "out").exists()


def test_an_allocator_is_a_series_of_its_own(tokenizer, policy, allocator):
    beside = [allocator(seed=3), allocator(seed=4, mse=0.015), allocator(training_seed=1)]
    data = pareto_data([tokenizer(), policy(), *beside])
    points = data[(data["series"] == "heuristics, png_size 6") & (data["metric"] == "mse")]
    assert points["kind"].tolist() == ["allocator", "allocator", "mean of seeds"]
    assert points["value"].tolist() == pytest.approx([0.013, 0.015, 0.014])
    assert points["seed"].tolist()[:2] == [3, 4]
    with paper_style():
        figure = draw(data)
    drawn = {line.get_label() for line in figure.axes[0].get_lines()}
    assert {"heuristics, png_size 6", "policy"} <= drawn
    shown = points_of(figure.axes[0])
    assert ("heuristics, png_size 6", 6.0, 0.013) in shown
