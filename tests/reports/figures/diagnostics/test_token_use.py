import pandas as pd
import pytest

from bench.statistics.intervals import student_interval
from reports.analysis.groups import group_by_seed
from reports.figures.diagnostics.token_use import COLUMNS, draw, report, use_data
from reports.paper.style import color_of, paper_style

pytestmark = pytest.mark.usefixtures("unrendered")


@pytest.fixture
def used(tokenizer, vary):
    """`used(arm, bits, seed)`: a tokenizer's record with this entropy by position."""

    def used(arm, bits, seed=0):
        codebook = {
            "usage": 0.5, "entropy_bits": 3.0, "usage_by_position": [b / 12 for b in bits],
            "entropy_bits_by_position": bits,
        }  # fmt: skip
        ratio = {"tail_entropy_ratio": bits[-1] / bits[0]}
        return vary(tokenizer(arm, seed=seed), codebook=codebook, metrics=ratio)

    return used


def test_lines_are_the_entropies_by_position(used, tmp_path):
    records = [used("plain", [4.0, 3.0, 1.0]), used("plain", [4.0, 2.0, 0.0], 1),
               used("nested", [5.0, 5.0])]  # fmt: skip
    made = report(records, tmp_path)
    assert "2 tokenizers" in made.alt
    assert "nested 1;" in made.alt
    assert "plain 0.12" in made.alt
    assert "0.12 [" in made.text
    written = pd.read_csv(tmp_path / "token_use.csv")
    assert list(written.columns) == COLUMNS
    mean = written[(written["kind"] == "mean") & (written["panel"] == "entropy")]
    plain = mean[mean["system"] == "plain"]
    over = student_interval([3.0, 2.0])
    assert plain["value"].tolist() == [4.0, 2.5, 0.5]
    assert plain.iloc[1][["low", "high"]].tolist() == pytest.approx([over.low, over.high])
    with paper_style("column"):
        figure = draw(use_data(group_by_seed(records)))
        color = color_of("plain")
    entropy, usage = figure.axes
    (line,) = [one for one in entropy.get_lines() if one.get_color() == color]
    assert list(line.get_ydata()) == [4.0, 2.5, 0.5]
    (line,) = [one for one in usage.get_lines() if one.get_color() == color]
    assert list(line.get_ydata()) == pytest.approx([4 / 12, 2.5 / 12, 0.5 / 12])
    # 24 images show log2(24) bits at most, fewer than the code's 12.
    most = next(one for one in entropy.get_lines() if one.get_ls() == ":")
    assert most.get_ydata()[0] == pytest.approx(4.585, abs=1e-3)
    (legend,) = figure.legends
    assert "most that 24 images can show" in [text.get_text() for text in legend.get_texts()]


def test_allocations_and_tokenizers_without_ids_are_not_drawn(tokenizer, policy, tmp_path):
    made = report([tokenizer(), policy()], tmp_path)
    assert made.files == []
    assert "no tokenizer with ids has a result" in made.text
