import pandas as pd
import pytest

from bench.statistics.intervals import student_interval
from reports.analysis.groups import group_by_seed
from reports.analysis.measures import skill, target_error
from reports.figures.allocation_skill import COLUMNS, draw, looks, report, series_name, skill_data
from reports.paper.style import color_of, paper_style

HALF = {"kind": "fixed", "efficiency": 0.5}
DUAL = {"kind": "constraint", "mean_budget": 6.0}


@pytest.fixture
def made(policy):
    """Two arms under two weightings over three seeds; one policy of `b` has collapsed."""
    records = []
    for arm, gain in (("a", 0.0), ("b", -0.2)):
        for weighting, tokens in ((HALF, 8.0), (DUAL, 6.6)):
            for seed in range(3):
                gone = arm == "b" and weighting is DUAL and seed == 2
                records.append(policy(
                    arm, skill=None if gone else 0.6 + gain + 0.01 * seed**2, seed=seed,
                    weighting=weighting, tokens=16.0 if gone else tokens, collapsed=gone,
                    swept={"policy.weighting": weighting}, reference_arm="a",
                    course=[(9.0, 0.02), (8.0, 0.015)],
                ))  # fmt: skip
    return records


def test_the_csv_holds_seeds_means_and_courses(made, tmp_path):
    report(made, tmp_path)
    data = pd.read_csv(tmp_path / "allocation_skill.csv")
    assert list(data.columns) == COLUMNS
    shown = data[(data["series"] == "a") & (data["weighting"] == "fixed 0.5")]
    points = shown[shown["panel"] == "skill"]
    seeds = points[points["kind"] == "seed"]
    assert seeds["y"].tolist() == pytest.approx([0.6, 0.61, 0.64])
    assert seeds["x"].tolist() == [8.0] * 3
    (mean,) = points[points["kind"] == "mean"].itertuples()
    over = student_interval([0.6, 0.61, 0.64])
    assert (mean.x, mean.y, mean.low, mean.high) == pytest.approx(
        (8.0, over.mean, over.low, over.high)
    )
    course = shown[shown["panel"] == "mean_budget"]
    assert course[["x", "y"]].to_numpy().tolist() == [[25, 9.0], [50, 8.0], [75, 8.0]]
    assert set(data["panel"]) == {"skill", "entropy", "weight_efficiency", "mean_budget"}


def test_collapsed_policies_are_crosses_at_zero_and_counted(made):
    data = skill_data(group_by_seed(made))
    crosses = data[data["kind"] == "collapsed"]
    assert crosses[["x", "y"]].to_numpy().tolist() == [[16.0, 0.0]]
    with paper_style():
        figure = draw(data)
    drawn = [
        (list(line.get_xdata()), list(line.get_ydata()))
        for line in figure.axes[0].get_lines()
        if line.get_marker() == "x" and len(line.get_xdata())
    ]
    assert drawn == [([16.0], [0.0])]
    texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert "collapsed: counts as 0 (1 of 12)" in texts


def test_no_collapse_needs_no_legend_entry(policy):
    with paper_style():
        figure = draw(skill_data(group_by_seed([policy()])))
    texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert texts == ["one policy", "fixed 0.5"]


def test_weightings_share_the_colour_of_their_arm(made):
    data = skill_data(group_by_seed(made))
    with paper_style():
        figure = draw(data)
        colours, numbers = looks(data)
    assert (list(colours), list(numbers)) == (["a", "b"], ["fixed 0.5", "constraint 6"])
    courses = {(line.get_color(), line.get_linestyle()) for line in figure.axes[1].get_lines()}
    assert courses == {(color, dash) for color in colours.values() for dash in ("-", "--")}


def test_where_only_the_weighting_differs_it_has_the_colours(made):
    with paper_style():
        colours, numbers = looks(skill_data(group_by_seed(made[:6])))
    assert list(colours) == list(numbers) == ["fixed 0.5", "constraint 6"]
    assert len(set(colours.values())) == 2


def test_a_series_is_named_without_its_weighting(policy):
    swept = {"policy.candidates": [2, 4], "policy.weighting": HALF}
    (group,) = group_by_seed([policy(swept=swept)])
    assert series_name(group) == "policy: candidates 2-4"


def test_a_collapsed_policy_counts_as_skill_0(policy):
    assert skill(policy(skill=0.4)) == 0.4
    assert skill(policy(skill=0.4, collapsed=True)) == 0.0
    assert skill(policy(skill=None)) == 0.0
    assert skill(policy(skill=0.4), "allocation_skill_perceptual") == 0.2
    assert skill(policy(), "no such skill") is None


def test_how_far_a_constraint_is_from_its_target(policy):
    assert target_error(policy(weighting=DUAL, tokens=6.6)) == pytest.approx(0.1)
    assert target_error(policy(weighting=HALF)) is None


def test_the_table_has_a_row_per_group(made, tmp_path):
    text = report(made, tmp_path).text
    head = text.splitlines()[1]
    assert head.split()[:3] == ["system", "seeds", "tokens"]
    row = next(line for line in text.splitlines() if line.startswith("a: ") and "mean_bud" in line)
    over = student_interval([0.6, 0.61, 0.64])
    assert f"0.62 [{over.low:.2f}, {over.high:.2f}]" in row
    for cell in ("+10.0 %", "0.31 [", "-0.25", "0.40", "0/3", "1.23 %", "0.45 %"):
        assert cell in row
    row = next(line for line in text.splitlines() if line.startswith("b: ") and "mean_bud" in line)
    assert "1/3" in row
    assert "0.27 [" in row  # (0.4 + 0.41 + 0) / 3


def test_metrics_that_old_records_lack_are_dashes(policy, vary, tmp_path):
    record = vary(policy(), without=("allocation_skill_perceptual", "policy_time_share"))
    assert report([record], tmp_path).text.splitlines()[2].endswith("-")


def test_arms_are_compared_under_the_same_weighting(made, tmp_path):
    text = report(made, tmp_path).text
    about, *rows = text[text.index("Against arm 'a'") :].splitlines()[:4]
    assert "Holm" in about
    assert [row.split("}")[1].split()[0] for row in rows[1:]] == ["a:", "a:"]
    assert rows[1].endswith("worse")
    assert rows[2].endswith("no difference shown")
    assert "0 better, 1 worse, 1 no difference shown" in text


def test_skills_of_different_candidate_sets_are_not_compared(made, vary, tmp_path):
    assert "Against arm 'a'" in report(made, tmp_path).text
    made[-3:] = [vary(one, settings={"policy.candidates": [2, 16]}) for one in made[-3:]]
    text = report(made, tmp_path).text
    assert "Against arm 'a'" not in text
    assert "compare the distortion, not the skill" in text


def test_a_system_that_is_one_weighting_has_its_colour_of_the_other_figures(made):
    with paper_style():
        color_of("drawn before")
        expected = color_of("a, fixed efficiency 0.5")
        colours, _ = looks(skill_data(group_by_seed(made[:3])))
    assert colours == {"fixed 0.5": expected}
