import pandas as pd
import pytest
from matplotlib.figure import Figure

from reports.figures import budget_axis, legend_below, look, render


def plot(data):
    figure = Figure(figsize=(2, 2), layout="constrained")
    axes = figure.subplots()
    axes.plot(data["x"], data["y"], label="line")
    return figure


def test_figure_and_data_are_written_without_dates_or_leftovers(tmp_path):
    data = pd.DataFrame({"x": [1, 2], "y": [0.5, 0.25]})
    for name in "ab":
        files = render(tmp_path / name, "thing", data, plot)
        assert [path.name for path in files] == ["thing.png", "thing.pdf", "thing.csv"]
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == sorted(
            path.name for path in files
        )
    for path in files:
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()
    assert files[2].read_text() == "x,y\n1,0.5\n2,0.25\n"
    assert b"CreationDate" not in files[1].read_bytes()
    assert b"matplotlib" not in files[0].read_bytes()


def test_a_figure_that_fails_leaves_the_old_files(tmp_path):
    data = pd.DataFrame({"x": [1], "y": [2]})
    files = render(tmp_path, "thing", data, plot)
    before = [path.read_bytes() for path in files]
    with pytest.raises(KeyError):
        render(tmp_path, "thing", data[["x"]], plot)
    assert [path.read_bytes() for path in files] == before


def test_looks_differ_for_36_series():
    assert len({(look(i)["color"], look(i)["marker"]) for i in range(36)}) == 36


def test_budgets_are_the_ticks_of_a_log2_axis():
    axes = Figure().subplots()
    budget_axis(axes, {16, 2, 4})
    assert (axes.get_xscale(), list(axes.get_xticks())) == ("log", [2, 4, 16])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "4", "16"]
    assert list(axes.get_xticks(minor=True)) == []


def test_the_legend_names_each_label_once():
    figure = Figure(layout="constrained")
    for axes in figure.subplots(1, 2):
        axes.plot([1], [1], label="same")
    legend_below(figure, title="about")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["same"]
    assert legend.get_title().get_text() == "about"
