import itertools

import pandas as pd
import pytest
from matplotlib.figure import Figure

from reports.paper.drawing import budget_axis, legend_below, new_figure, panel_grid, render
from reports.paper.style import paper_style


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


def test_a_legend_of_long_labels_is_wrapped_and_the_figure_grows():
    with paper_style("column"):
        figure = new_figure(1.0)
        axes = figure.subplots()
        for number in range(3):
            axes.plot([1], [1], label=f"system {number} " + "and its many words " * 5)
        legend_below(figure)
        figure.draw_without_rendering()
    (legend,) = figure.legends
    lines = [text.get_text().count("\n") + 1 for text in legend.get_texts()]
    assert lines == [2, 2, 2]
    assert figure.get_figwidth() == 3.4
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    assert axes.get_window_extent().height > 0.5 * figure.dpi


@pytest.mark.parametrize(("size", "places"), [("page", (2, 4)), ("column", (4, 2))])
def test_panels_fill_the_width(size, places):
    with paper_style(size):
        figure, panels = panel_grid(7, row_inches=1.0)
    grid = panels[0].get_gridspec()
    assert (len(panels), len(figure.axes)) == (7, 7)
    assert (grid.nrows, grid.ncols) == places
    assert tuple(figure.get_size_inches()) == ({"page": 7.0, "column": 3.4}[size], places[0])


def test_fonts_are_embedded_in_pdfs(tmp_path):
    _, pdf, _ = render(tmp_path, "thing", pd.DataFrame({"x": [1], "y": [2]}), plot)
    text = pdf.read_bytes()
    assert b"/FontFile2" in text
    assert b"/Type3" not in text


def test_budgets_without_room_are_not_named():
    with paper_style("column"):
        _, panels = panel_grid(2, row_inches=1.0)
        budget_axis(panels[0], [1, 2, 12, 16])
    assert list(panels[0].get_xticks()) == [1, 2, 12, 16]
    assert [tick.get_text() for tick in panels[0].get_xticklabels()] == ["1", "2", "", "16"]


def overlapping(axes):
    axes.figure.draw_without_rendering()
    boxes = [tick.get_window_extent() for tick in axes.get_xticklabels() if tick.get_text()]
    return any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def test_names_of_budgets_overlap_unless_some_are_left_out():
    budgets = [1, 2, 4, 8, 12, 14, 16]
    with paper_style("column"):
        _, (ours, plain) = panel_grid(2, row_inches=1.0)
        budget_axis(ours, budgets)
        plain.set_xscale("log", base=2)
        plain.set_xticks(budgets, budgets)
    assert not overlapping(ours)
    assert overlapping(plain)  # matplotlib draws the labels of all ticks that it is given


def test_every_name_stands_in_the_legend_and_the_file(tmp_path, recwarn):
    names = ["_x", "$\\frac{$", "a_1 <b> \\", "\U000e0100"]
    shown = []

    def draw(data):
        figure = new_figure(2)
        axes = figure.subplots()
        for name in data["name"]:
            axes.plot([0, 1], [0, 1], label=name)
        legend_below(figure)
        shown.extend(text.get_text().lstrip("\u200b") for text in figure.legends[0].get_texts())
        return figure

    files = render(tmp_path, "figure", pd.DataFrame({"name": names}), draw)
    assert shown == ["_x", "$\\frac{$", "a_1 <b> \\", "[U+E0100]"]
    assert pd.read_csv(files[2])["name"].tolist() == names
    assert not [warning for warning in recwarn if "lyph" in str(warning.message)]


def test_an_axis_without_fixed_budgets_has_powers_of_two():
    with paper_style():
        axes = new_figure(2).subplots()
        axes.plot([2.5, 9], [0, 1])
        budget_axis(axes, [])
        axes.figure.draw_without_rendering()
        assert {"4", "8"} <= {label.get_text() for label in axes.get_xticklabels()}
