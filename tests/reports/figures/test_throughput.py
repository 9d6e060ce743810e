import pandas as pd
import pytest

from reports.figures.throughput import COLUMNS, draw, report, throughput_data
from reports.paper.style import paper_style

pytestmark = pytest.mark.usefixtures("unrendered")
RATIOS = {"ideal": 2.2, "padded": 1.1, "bucketed": 1.7, "refilled": 2.0}


@pytest.fixture
def record(timed):
    """`record(batches)`: every mode with pixels and without, and the cost of a step."""

    def record(batches=(4, 16)):
        rows = [
            {"arm": "adaptive", "mode": mode, "batch": batch, "pixels": pixels,
             "ratio": ratio - pixels / 2 - batch / 100,
             "ratio_quartiles": [ratio - pixels / 2 - 0.2, ratio + 0.2]}
            for mode, ratio in RATIOS.items()
            for batch in batches
            for pixels in (False, True)
        ]  # fmt: skip
        cost = [
            {"position": position, "seconds": 0.001 * (1 + position) * batch, "batch": batch}
            for batch in batches
            for position in (0, 1, 2)
        ]
        fixed = {"arm": "fixed", "mode": "padded", "batch": 4, "ratio": 1.0}
        return timed(rows=[fixed, *rows], cost=cost)

    return record


def test_lines_are_the_ratios_by_batch_and_the_cost(record, tmp_path):
    made = report([record()], tmp_path)
    assert "ideal 2.16 at batch 4, padded 1.06 at batch 4" in made.alt
    written = pd.read_csv(tmp_path / "throughput.csv")
    assert list(written.columns) == COLUMNS
    with paper_style():
        figure = draw(throughput_data([record()]))
    without, pixels, cost = figure.axes
    assert without.get_title().replace("\n", " ") == "no guidance, without pixel decoding"
    for axes, less in ((without, False), (pixels, True)):
        shown = written[(written["panel"] == "ratio") & (written["pixels"] == less)]
        for mode in RATIOS:
            (line,) = (line for line in axes.get_lines() if line.get_label() == mode)
            here = shown[shown["mode"] == mode]
            assert list(line.get_xdata()) == here["x"].tolist() == [4, 16]
            assert list(line.get_ydata()) == pytest.approx(here["y"].tolist())
    lines = {line.get_label(): list(line.get_ydata()) for line in cost.get_lines()}
    assert lines == {
        "step of batch 4": pytest.approx([4, 8, 12]),
        "step of batch 16": pytest.approx([16, 32, 48]),
    }
    title = figure.legends[0].get_title().get_text()
    assert title == "random weights on cpu; bars: quartiles over rounds"


def test_a_single_batch_size_shows_every_mode(record):
    with paper_style():
        axes = draw(throughput_data([record((4,))])).axes[0]
    lines = [line for line in axes.get_lines() if line.get_label() in RATIOS]
    assert len(lines) == len(RATIOS)
    assert all(line.get_marker() not in ("None", "", None) for line in lines)


def test_other_records_are_not_drawn(tokenizer, failed, tmp_path):
    text = report([tokenizer(), failed(tokenizer("broken"))], tmp_path).text
    assert text.startswith("Throughput: not drawn, no throughput cell has a result yet")
    assert "failed: broken" in text
