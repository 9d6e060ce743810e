import pandas as pd
import pytest

from bench.errors import UserError
from bench.statistics.intervals import student_interval
from reports.figures.generation import COLUMNS, draw, generation_data, report
from reports.paper.style import color_of, paper_style

pytestmark = pytest.mark.usefixtures("unrendered")
DATA = {"2": 0.5, "4": 0.3, "8": 0.2}
DRAWN = [{"2": 0.4, "4": 0.4, "8": 0.2}, {"2": 0.3, "4": 0.4, "8": 0.3}]


@pytest.fixture
def record(generated):
    """`record(seed, arm, ...)`: a generator's record with lengths, and distances by length."""

    def record(seed, arm="end token", **generation):
        by_length = [
            {"tokens": k, "mean_tokens": k, "n": 10, "n_reference": 10,
             "gfd_lite0": 100.0 / k + seed, "gfd_lite0_reconstructions": 50.0 / k}
            for k in (2, 4, 8)
        ]  # fmt: skip
        lengths = {"data": DATA, "generated": DRAWN[seed]}
        about = {"lengths": lengths, "by_length": by_length, **generation}
        return generated(arm, seed=seed, generation=about, gfd_lite0=80.0 + seed)

    return record


def test_bars_are_the_shares_and_lines_the_distances(record, tmp_path):
    records = [record(0), record(1)]
    made = report(records, tmp_path)
    assert "end token: gFD (Lite0) 80.5" in made.alt
    written = pd.read_csv(tmp_path / "generation.csv")
    assert list(written.columns) == COLUMNS
    means = written[written["kind"] == "mean"].set_index(["panel", "of", "tokens"])
    over = student_interval([0.4, 0.3])
    assert means.loc[("lengths", "generated", 2), ["value", "low", "high"]].tolist() == (
        pytest.approx([over.mean, over.low, over.high])
    )
    with paper_style():
        figure = draw(generation_data(records))
        color = color_of("end token")
    lengths, quality = figure.axes
    heights = [bar.get_height() for bar in lengths.patches]
    expected = [means.loc[("lengths", of)]["value"].tolist() for of in ("data", "generated")]
    assert heights == pytest.approx([*expected[0], *expected[1]])
    lines = [line for line in quality.get_lines() if line.get_color() == color]
    solid = next(line for line in lines if line.get_marker() == "o" and line.get_ls() == "-")
    assert list(solid.get_ydata()) == pytest.approx([50.5, 25.5, 13.0])
    dotted = next(line for line in lines if line.get_ls() == ":")
    assert list(dotted.get_ydata()) == pytest.approx([25.0, 12.5, 6.25])
    points = sorted(y for line in lines if line.get_marker() == "." for y in line.get_ydata())
    seeds = written[(written["kind"] == "seed") & (written["panel"] == "quality")]
    assert points == pytest.approx(sorted(seeds["value"]))
    assert quality.get_ylabel() == "gFD (Lite0), lower is better"


def test_codes_have_a_panel_by_position(record, vary):
    def rows(seed):
        known = {"n": 9, "n_data": 9, "reconstructions": 0.1}
        nowhere = {"n": 9, "n_data": 0, "distance": None, "reconstructions": None}
        there = [{"position": k, "distance": 0.1 * k + seed / 10, **known} for k in (1, 2)]
        return [*there, {"position": 3, **nowhere}]

    records = [
        vary(record(seed), code_histograms={"tokens": 9, "tokens_data": 9, "distance": 0.2,
                                            "reconstructions": 0.1, "by_position": rows(seed)})
        for seed in (0, 1)
    ]  # fmt: skip
    data = generation_data(records)
    with paper_style():
        codes = draw(data).axes[-1]
    assert codes.get_ylabel() == "CHD, lower is better"
    assert codes.get_xlabel() == "position of the token"
    solid, dotted = (
        next(one for one in codes.get_lines() if one.get_ls() == ls) for ls in ("-", ":")
    )
    assert list(solid.get_ydata()) == pytest.approx([0.15, 0.25])
    assert list(dotted.get_ydata()) == pytest.approx([0.1, 0.1])
    assert set(data["panel"]) == {"lengths", "quality", "codes"}


def test_a_generator_without_distances_shows_its_lengths(record):
    data = generation_data([record(0, by_length=[])])
    assert set(data["panel"]) == {"lengths"}
    with paper_style():
        assert len(draw(data).axes) == 1


def test_a_generator_of_one_length_has_no_panel_of_lengths(record, tmp_path):
    fixed = record(0, "fixed", lengths={"data": {"8": 1.0}, "generated": {"8": 1.0}})
    data = generation_data([fixed, record(0)])
    assert set(data.loc[data["panel"] == "lengths", "system"]) == {"end token"}
    assert set(data.loc[data["panel"] == "quality", "system"]) == {"end token", "fixed"}
    alt = report([fixed, record(0)], tmp_path).alt
    assert "images of 2 generators" in alt
    assert "lengths that 1 of them draw" in alt


def test_two_protocols_are_refused(record, vary, tmp_path):
    other = record(1, "length token")
    other = vary(other, protocol={**other.protocol.plain(), "reference": "paired"})
    with pytest.raises(UserError, match="protocol field 'reference' differs"):
        report([record(0), other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_generators_it_says_so(tokenizer, tmp_path):
    assert "no generation cell has a result yet" in report([tokenizer()], tmp_path).text
