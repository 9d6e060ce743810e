import pandas as pd
import pytest

from reports.analysis.weighting_problems import Scale, problems
from reports.figures.hypervolume_share import (
    COLUMNS,
    draw,
    final_share,
    report,
    share_data,
    share_rows,
    trajectory_share,
)
from reports.paper.style import paper_style

# Tokens 2..16 and distortions 0.016..0.002: a gain of 0.1 is 1.4 tokens, or 0.0014.
SCALE = Scale((2, 16), (0.016, 0.002))


def at(efficiency, fidelity):
    return 16 - 14 * efficiency, 0.016 - 0.014 * fidelity


@pytest.fixture
def made(tokenizer, policy, vary_curve):
    """Two fixed weightings, two targets, one gradient run; three seeds."""
    distortions = {2: 0.016, 4: 0.010, 8: 0.006, 16: 0.002}
    records = [vary_curve(tokenizer(), lambda row: {"mse": distortions[row.budget]})]

    def add(weighting, point, seed, arm="p", course=(), **options):
        tokens, mse = at(*point)
        course = [at(*one) for one in course]
        records.append(policy(arm, weighting=weighting, tokens=tokens, mse=mse, seed=seed,
                              swept={"policy.weighting": weighting}, course=course,
                              **options))  # fmt: skip

    for seed in range(3):
        add({"kind": "fixed", "efficiency": 0.2}, (0.2, 0.8), seed)
        add({"kind": "fixed", "efficiency": 0.8}, (0.8, 0.2), seed)
        for target, point in ((4.0, (0.8, 0.1)), (12.0, (0.2, 0.5 + 0.1 * seed))):
            add({"kind": "constraint", "mean_budget": target}, point, seed, course=[(0.5, 0.5)])
        add({"kind": "gradient", "efficiency": 0.5}, (0.35, 0.4), seed)
    return records


WHOLE = 0.2 * 0.8 + 0.6 * 0.2  # of the two fixed points


def test_both_axes_run_from_the_reference_to_the_best():
    assert SCALE.hypervolume([(2, 0.002)]) == pytest.approx(1)
    assert SCALE.hypervolume([(16, 0.002)]) == 0
    assert SCALE.hypervolume([(20, 0.002)]) == 0  # beyond the reference
    assert SCALE.hypervolume([at(0.2, 0.8), at(0.8, 0.2)]) == pytest.approx(WHOLE)


def test_a_schemes_targets_count_together_and_apart(made):
    (problem,) = problems(made)
    assert problem.schemes == ["constraint", "gradient"]
    names = problem.names("constraint")
    assert names == ["constraint 4", "constraint 12"]
    shares = [(0.2 * (0.5 + 0.1 * seed) + 0.6 * 0.1) / WHOLE for seed in range(3)]
    together = final_share(problem, names)
    assert (together.mean, together.n) == (pytest.approx(sum(shares) / 3), 3)
    assert together.low < together.mean < together.high
    assert final_share(problem, ["constraint 4"]).mean == pytest.approx(0.08 / WHOLE)


def test_a_trajectory_counts_all_that_one_run_passes(made, vary):
    (problem,) = problems(made)
    alone = trajectory_share(problem, ["constraint 4"])
    assert alone.mean == pytest.approx((0.5 * 0.5 + 0.3 * 0.1) / WHOLE)

    def with_course(*course):
        record = problem.runs["fixed 0.2"][0, 0]
        points = ({"monitor_tokens": tokens, "monitor_mse": mse} for tokens, mse in course)
        rows = [{"step": 25 * (index + 1), **point} for index, point in enumerate(points)]
        changed = vary(record, histories={"policy": rows})
        return problems([changed if one is record else one for one in made])

    end = at(0.2, 0.8)
    (same,) = with_course((2.0, 0.002), end)  # a sweep counts at its end only
    assert trajectory_share(same, ["constraint 4"]).mean == pytest.approx(alone.mean)
    (worse,) = with_course((2.0, 0.002), (end[0], 0.016))
    assert trajectory_share(worse, ["constraint 4"]).mean > alone.mean


def test_the_table_sets_cost_beside_shares(made):
    (problem,) = problems(made)
    rows = share_rows(problem)
    assert [row["weighting"] for row in rows] == [
        "fixed, the sweep",
        "constraint, all 2",
        "constraint 4",
        "constraint 12",
        "gradient 0.5",
    ]
    assert [row["policy steps"] for row in rows] == [1200, 1200, 600, 600, 600]
    assert [row["policies per seed"] for row in rows] == [2, 2, 1, 1, 1]
    assert [row["of the sweep's"] for row in rows[:3]] == ["100 %", "100 %", "50 %"]
    assert rows[4]["final points"].startswith("0.500 [")


def test_records_without_a_monitor_have_no_trajectory(made, vary):
    made = [vary(record, histories={"policy": []}) for record in made]
    (problem,) = problems(made)
    assert {row["trajectory"] for row in share_rows(problem)} == {"-"}
    assert set(share_data([problem])["panel"]) == {"final"}


def test_other_candidates_are_another_problem(made, vary):
    other = [vary(r, settings={"policy.candidates": [2, 8, 16]}) for r in made[1:]]
    first, second = problems([*made, *other])
    assert final_share(first, ["gradient 0.5"]) == final_share(second, ["gradient 0.5"])
    assert len(first.runs["gradient 0.5"]) == len(second.runs["gradient 0.5"]) == 3


def test_weightings_of_one_name_are_kept_apart(made, policy):
    weighting = {"kind": "gradient", "efficiency": 0.5, "floor": 0.1}
    made.append(policy("other arm", weighting=weighting, tokens=16.0))
    (problem,) = problems(made)
    assert len(problem.names("gradient")) == 2
    assert "other arm" in problem.names("gradient")


def test_a_seed_without_its_whole_sweep_is_left_out_and_named(made, tmp_path):
    made = [r for r in made if r.group != "p: policy.weighting {'kind': 'fixed', 'efficiency': 0.8}"
            or r.config.policy.seed != 1]  # fmt: skip
    (problem,) = problems(made)
    assert problem.seeds == ((0, 0), (0, 2))
    assert final_share(problem, ["constraint 4"]).n == 2
    assert "training/policy seed 0/1" in report(made, tmp_path).text


def test_seeds_of_policies_are_averaged_within_trainings(made, vary):
    again = [
        vary(record, swept={**record.swept, "training.seed": 1}, settings={"training.seed": 1})
        for record in made
    ]
    (problem,) = problems([*made, *again])
    assert len(problem.seeds) == 6
    assert final_share(problem, ["constraint 12"]).n == 2


def test_the_csv_holds_what_is_drawn(made, tmp_path):
    report(made, tmp_path)
    data = pd.read_csv(tmp_path / "hypervolume_share.csv", keep_default_na=False)
    assert list(data.columns) == COLUMNS
    final = data[data["panel"] == "final"]
    assert len(final[(final["kind"] == "policy") & (final["scheme"] == "constraint")]) == 6
    front = final[(final["kind"] == "front") & (final["seed"] == "0/0")]
    expected = [(4.8, 0.016), (4.8, 0.0132), (13.2, 0.0132), (13.2, 0.0048), (16, 0.0048)]
    points = front[["tokens", "mse"]].astype(float).to_numpy().tolist()
    assert [tuple(point) for point in points] == [pytest.approx(point) for point in expected]
    paths = data[data["kind"] == "trajectory"]
    assert set(paths["weighting"]) == {"constraint 12", "gradient 0.5"}
    assert set(paths["seed"]) == {"0/0"}


def test_trajectories_and_points_are_drawn(made):
    with paper_style():
        figure = draw(share_data(problems(made)))
    final, training = figure.axes
    labels = [line.get_label() for line in training.get_lines()]
    assert "constraint 12: trajectory, larger at its end" in labels
    assert {"fixed", "constraint", "gradient"} <= {x.get_label() for x in final.get_lines()}


@pytest.mark.parametrize("lacking", ["curve", "fixed", "dynamic", "gain"])
def test_what_cannot_be_compared_is_said(made, lacking, vary_curve, tmp_path):
    def kind(record):
        return record.config.policy and record.config.policy.weighting.kind

    if lacking == "gain":
        made[0] = vary_curve(made[0], lambda row: {"mse": 0.01})
    kept = {
        "curve": made[1:],
        "fixed": [r for r in made if kind(r) != "fixed"],
        "dynamic": [r for r in made if kind(r) in (None, "fixed")],
        "gain": made,
    }[lacking]
    done = report(kept, tmp_path / "out")
    assert done.files == []
    assert "nothing to compare" in done.text
    assert "p: no share, for it needs" in done.text


def test_failed_cells_are_listed(made, failed, tmp_path):
    lost = failed(made[-1])
    assert f"failed: {lost.label}: {lost.error}" in report([*made, lost], tmp_path).text
