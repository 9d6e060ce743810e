import copy
from pathlib import Path

import pandas as pd
import pytest
import yaml
from matplotlib.text import Annotation

from bench.errors import UserError
from reports.analysis.published import read_published
from reports.figures.pareto import report
from reports.figures.published import COLUMNS, draw, published_data
from reports.paper.style import paper_style

FILE = {
    "metric": "rfid",
    "unit": "lower is better",
    "dataset": "some images",
    "rows": [
        {"system": "A", "tokens": 256, "rfid": 1.31, "source": "paper A", "confidence": "primary"},
        {"system": "B", "tokens": 256, "rfid": 1.32, "source": "paper B", "note": "quoted"},
        {"system": "C", "tokens": 118, "rfid": 1.50, "source": "paper A", "kind": "elastic-1d"},
    ],
    "throughput": [{"claim": "for other readers"}],
}


@pytest.fixture
def write(tmp_path):
    """`write(content)`: the path of a YAML file of it."""

    def write(content):
        path = tmp_path / "published.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


def test_a_file_is_read(write):
    published = read_published(write(FILE))
    assert (published.metric, published.dataset) == ("rfid", "some images")
    assert [(row.system, row.tokens, row.value) for row in published.rows] == [
        ("A", 256.0, 1.31),
        ("B", 256.0, 1.32),
        ("C", 118.0, 1.5),
    ]
    assert (published.rows[0].confidence, published.rows[1].note) == ("primary", "quoted")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("metric", "rfd", "metric: unknown metric 'rfd'; did you mean 'rfid'?"),
        ("metric", None, "metric: give a text"),
        ("dataset", 3, "dataset: give a text"),
        ("rows", [], "rows: give a list"),
        ("rows", [3], "rows\\[0\\]: give a mapping"),
        ("rows.1.tokens", "many", "rows\\[1\\]: tokens: give a number above 0"),
        ("rows.1.rfid", None, "rows\\[1\\]: rfid: give a number above 0"),
        ("rows.0.rfid", True, "rows\\[0\\]: rfid: give a number above 0"),
        ("rows.0.rfid", float("nan"), "rows\\[0\\]: rfid: give a number above 0"),
        ("rows.2.source", " ", "rows\\[2\\]: source: give a text"),
        ("rows.2.sytem", "x", "rows\\[2\\]: unknown key 'sytem'; did you mean 'system'?"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(write, key, value, message):
    content = copy.deepcopy(FILE)
    place = content
    *parents, last = key.split(".")
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    place[last] = value
    with pytest.raises(UserError, match=message) as error:
        read_published(write(content))
    assert str(error.value).startswith(str(write(content)))
    assert "\n" not in str(error.value)


def test_no_file_and_no_yaml_are_told(write, tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml"):
        read_published(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="not valid YAML"):
        read_published(write("a: ["))


def test_published_results_are_hollow_on_an_axis_of_their_own(
    tokenizer, policy, vary, vary_curve, write, tmp_path
):
    elastic = vary_curve(tokenizer(), lambda row: {"rfid": 6.0 + row.budget})
    records = [vary(one, metrics={"rfid": 5.0}) for one in (elastic, policy())]
    made = report(records, tmp_path / "out", published=write(FILE))
    assert "pareto_published.png" in [path.name for path in made.files]
    assert "best is A: 1.31 at 256 tokens" in made.alt
    beside = pd.read_csv(tmp_path / "out" / "pareto.csv")
    assert "A" not in set(beside["series"])
    written = pd.read_csv(tmp_path / "out" / "pareto_published.csv")
    assert list(written.columns) == COLUMNS
    published = written[written["kind"] == "published"]
    assert published["source"].tolist() == ["paper A", "paper B", "paper A"]
    assert set(written["metric"]) == {"rfid"}
    with paper_style():
        figure = draw(published_data(read_published(write(FILE)), records))
        figure.draw_without_rendering()
    (axes,) = figure.axes
    hollow, filled = set(), set()
    for line in axes.get_lines():
        points = zip(line.get_xdata(), line.get_ydata(), strict=True)
        (hollow if line.get_markerfacecolor() == "none" else filled).update(points)
    assert hollow == set(zip(published["tokens"], published["value"], strict=True))
    ours = written[written["kind"] != "published"]
    assert filled == set(zip(ours["tokens"], ours["value"], strict=True))
    assert len(filled) == 5
    names = [text for text in axes.get_children() if isinstance(text, Annotation)]
    assert sorted(text.get_text() for text in names) == ["A", "B", "C"]
    boxes = [text.get_window_extent() for text in names]
    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)
    (legend,) = figure.legends
    assert "paper A: A, C; paper B: B" in legend.get_title().get_text()


def test_another_metric_is_not_drawn_beside_them(tokenizer, write, tmp_path):
    report([tokenizer()], tmp_path, published=write(FILE))
    written = pd.read_csv(tmp_path / "pareto_published.csv")
    assert set(written["kind"]) == {"published"}


def test_a_narrow_figure_shows_numbers(write):
    data = published_data(read_published(write(FILE)), [])
    with paper_style("column"):
        figure = draw(data)
    texts = {t.get_text() for t in figure.axes[0].get_children() if isinstance(t, Annotation)}
    assert texts == {"1", "2", "3"}
    assert "paper A: 1 A, 3 C" in figure.legends[0].get_title().get_text().replace("\n", " ")


def test_they_are_drawn_where_no_tokenizer_has_a_result(write, tmp_path, policy):
    made = report([policy()], tmp_path / "out", published=write(FILE))
    assert [path.name for path in made.files] == [
        f"pareto_published.{kind}" for kind in ("png", "pdf", "csv")
    ]
    assert made.text.startswith("Pareto figure: not drawn")
    assert isinstance(made.files[0], Path)
