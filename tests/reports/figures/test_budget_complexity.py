import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.statistics.correlation import spearman_interval
from bench.statistics.intervals import student_interval
from reports.analysis.allocations import allocations
from reports.figures.budget_complexity import COLUMNS, complexity_data, draw, report
from reports.paper.style import paper_style

pytestmark = pytest.mark.usefixtures("unrendered")
COUNT = 60


@pytest.fixture
def stored(store, vary, complete):
    """`stored(record, seed, ...)`: the record, with a table of images in the store."""

    def stored(record, seed, *, png=True, objects=True, collapsed=False):
        rng = np.random.default_rng(seed)
        complexity = np.random.default_rng(99).integers(0, 5, COUNT).astype(float)
        budget = 2 ** np.clip(complexity + rng.integers(-1, 2, COUNT), 1, 4).astype(int)
        table = pd.DataFrame(
            {
                "id": [f"{i:03d}" for i in range(COUNT)],
                "budget": np.full(COUNT, 4) if collapsed else budget,
                "complexity": complexity if objects else math.nan,
            }
        )
        if png:
            table["png_bytes"] = 100 + 50 * complexity.astype(int) + np.arange(COUNT)
        path = store / "evaluation" / record.cell_key / "images.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(path, index=False)
        complete(path.parent)
        return vary(record, images=path.relative_to(store).as_posix())

    return stored


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def table_of(record, store):
    return pd.read_parquet(store / record.images)


def test_over_seeds_means_and_correlations_are_the_tables(tokenizer, policy, stored, store):
    records = [tokenizer(), *(stored(policy(seed=seed), seed) for seed in range(3))]
    data = complexity_data(allocations(records), store)
    tables = [table_of(record, store) for record in records[1:]]
    shown = data[data["panel"] == "complexity"].set_index("x")
    assert shown.index.tolist() == [0, 1, 2, 3, 4]
    over = student_interval([t.loc[t["complexity"] == 3, "budget"].mean() for t in tables])
    assert shown.loc[3, ["y", "low", "high", "n"]].tolist() == pytest.approx(
        [over.mean, over.low, over.high, 3]
    )
    assert set(data.loc[data["kind"] == "mean", "over"]) == {"seeds"}
    rho = data[(data["panel"] == "correlation") & (data["against"] == "png_bytes")]
    expected = [stats.spearmanr(t["budget"], t["png_bytes"]).statistic for t in tables]
    assert rho.loc[rho["kind"] == "seed", "y"].tolist() == pytest.approx(expected)
    (mean,) = rho[rho["kind"] == "mean"].itertuples()
    over = student_interval(expected)
    assert (mean.y, mean.low, mean.high) == pytest.approx((over.mean, over.low, over.high))


def test_png_sizes_are_cut_into_eighths(tokenizer, policy, stored, store):
    record = stored(policy(), 0)
    data = complexity_data(allocations([tokenizer(), record]), store)
    shown = data[data["panel"] == "png_bytes"]
    assert len(shown) == 8
    assert shown["n"].sum() == COUNT
    table = table_of(record, store)
    lowest = table.nsmallest(int(shown["n"].iloc[0]), "png_bytes")
    assert shown["y"].iloc[0] == pytest.approx(lowest["budget"].mean())
    assert shown["x"].iloc[0] == pytest.approx(lowest["png_bytes"].mean())


def test_one_seed_has_intervals_over_images(tokenizer, policy, stored, store):
    record = stored(policy(), 0)
    data = complexity_data(allocations([tokenizer(), record]), store)
    assert set(data["over"]) == {"images"}
    table = table_of(record, store)
    (mean,) = data[
        (data["panel"] == "correlation") & (data["against"] == "complexity")
    ].itertuples()
    rho = stats.spearmanr(table["budget"], table["complexity"]).statistic
    over = spearman_interval(rho, COUNT)
    assert (mean.y, mean.low, mean.high, mean.n) == pytest.approx((rho, over.low, over.high, COUNT))
    with paper_style():
        title = draw(data).legends[0].get_title().get_text()
    assert "95 % BCa bootstrap over images (correlations: Bonett-Wright)" in title
    assert "seeds" not in title


def test_what_is_drawn_is_the_csv(tokenizer, policy, stored, store, tmp_path):
    records = [tokenizer(), *(stored(policy(seed=seed), seed) for seed in range(2))]
    made = report(records, tmp_path / "out", store=store)
    assert "Largest Spearman correlation of chosen budget and" in made.alt
    written = pd.read_csv(tmp_path / "out" / "budget_complexity.csv")
    assert list(written.columns) == COLUMNS
    with paper_style():
        figure = draw(complexity_data(allocations(records), store))
    for axes, panel in zip(figure.axes, ("complexity", "png_bytes"), strict=False):
        (line,) = axes.get_lines()
        shown = written[written["panel"] == panel]
        assert line.get_xdata() == pytest.approx(shown["x"].to_numpy())
        assert line.get_ydata() == pytest.approx(shown["y"].to_numpy())
    drawn = sorted(float(line.get_xdata()[0]) for line in figure.axes[2].get_lines()[1:])
    assert drawn == pytest.approx(sorted(written.loc[written["panel"] == "correlation", "y"]))


def test_photographs_have_png_sizes_alone(tokenizer, policy, stored, store):
    records = [tokenizer(), stored(policy(), 0, objects=False)]
    data = complexity_data(allocations(records), store)
    assert set(data["against"]) == {"png_bytes"}
    old = [tokenizer(), stored(policy(), 0, png=False)]
    assert set(complexity_data(allocations(old), store)["against"]) == {"complexity"}


def test_a_collapsed_allocation_has_no_correlation(tokenizer, policy, stored, store, tmp_path):
    records = [tokenizer(), stored(policy(collapsed=True), 0, collapsed=True)]
    data = complexity_data(allocations(records), store)
    assert data.loc[data["panel"] == "correlation", "y"].isna().all()
    assert set(data.loc[data["panel"] == "complexity", "y"]) == {4.0}
    made = report(records, tmp_path / "out", store=store)
    assert made.alt.endswith("No allocation varies with the image.")


def test_without_tables_it_says_why(tokenizer, policy, store, tmp_path):
    made = report([tokenizer(), policy()], tmp_path / "out", store=store)
    assert made.text.startswith("Budget against complexity: not drawn, no allocation's table")
    assert made.files == []
