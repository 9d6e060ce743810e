"""The command on record folders written by hand: every exit code, and every reason."""

import json

import pytest
from plain_records import MSE, arm, changed, curve, record

from bench.records.record import SCHEMA_VERSION
from bench.statistics.intervals import holm, paired_difference
from bench.suite.loading import load_suite

WORSE, BETTER = changed((0.0010, 0.0011, 0.0012)), changed((-0.0010, -0.0011, -0.0012))


@pytest.mark.parametrize(
    ("mse", "code", "verdict"),
    [(WORSE, 1, "worse"), (BETTER, 0, "better"), (MSE, 0, "no difference shown")],
)
def test_the_exit_code_says_whether_b_is_worse(write, compare, mse, code, verdict):
    write("old", arm("arm"))
    write("new", arm("arm", mse))
    answer = compare("old", "new", "--json")
    assert answer.code == code
    (row,) = json.loads(answer.out)["differences"]
    assert (row["verdict"], row["over"], row["n"]) == (verdict, "seeds", 3)
    assert (row["seed"], row["method"]) == ("training.seed", "Student t")
    expected = paired_difference(mse, MSE)
    assert row["difference"] == pytest.approx(expected.mean)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert row["p_holm"] == pytest.approx(expected.p)
    assert row["b"] - row["a"] == pytest.approx(expected.mean)
    assert json.loads(answer.out)["worse"] == (code == 1)


def test_the_direction_is_the_metrics(write, compare):
    gains = {0: 20.0, 1: 21.0, 2: 20.5}
    write("old", [record(seed=s, metrics={"psnr": v}) for s, v in gains.items()])
    write("new", [record(seed=s, metrics={"psnr": v - 1 - s / 10}) for s, v in gains.items()])
    assert compare("old", "new", "--metric", "psnr").code == 1
    assert compare("new", "old", "--metric", "psnr").code == 0


def test_the_text_says_what_the_intervals_are_over(write, compare):
    write("old", arm("arm"))
    write("new", arm("arm", WORSE))
    answer = compare("old", "new")
    assert "3 training seeds" in answer.out
    assert "[95 %, Student t over seeds]" in answer.out
    assert "images" not in answer.out
    assert "detectable" in answer.out
    assert answer.out.splitlines()[-1] == (
        "1 worse, 0 better, 0 no difference shown, 0 without a verdict"
    )


def test_holm_runs_over_all_rows_and_can_take_the_regression_away(write, compare):
    slightly = changed((0.0002, 0.0003, 0.0003))
    write("alone_old", arm("a"))
    write("alone_new", arm("a", slightly))
    assert compare("alone_old", "alone_new").code == 1
    others = [f"n{index}" for index in range(8)]
    write("old", arm("a") + [r for name in others for r in arm(name)])
    write("new", arm("a", slightly) + [r for name in others for r in arm(name)])
    answer = compare("old", "new", "--json")
    assert answer.code == 0
    alone = paired_difference(slightly, MSE).p
    by_cell = {row["group"]: row["p_holm"] for row in json.loads(answer.out)["differences"]}
    assert by_cell["a"] == pytest.approx(holm([alone, *[1.0] * 8])[0])


def test_groups_match_by_arm_and_swept_values(write, compare):
    old = [r for k in (4, 8) for r in arm("a", swept={"lora.rank": k})]
    new = [r for k in (8, 16) for r in arm("a", WORSE, swept={"lora.rank": k})]
    write("old", old)
    write("new", new)
    answer = compare("old", "new", "--json")
    assert [row["group"] for row in json.loads(answer.out)["differences"]] == ["a: lora.rank 8"]
    assert json.loads(answer.out)["notes"] == [
        "only in old: a: lora.rank 4",
        "only in new: a: lora.rank 16",
    ]


def test_two_arms_match_by_what_they_sweep(write, rows_of):
    records = [r for n in ("a", "b") for k in (4, 8) for r in arm(n, swept={"lora.rank": k})]
    write("suite", records)
    rows = rows_of("suite:a", "suite:b")
    assert [row["group"] for row in rows] == ["b: lora.rank 4", "b: lora.rank 8"]


def test_single_groups_match_whatever_they_are_called(write, compare):
    records = [r for k in (4, 8) for r in arm("a", swept={"lora.rank": k})]
    write("suite", records + arm("other", WORSE))
    answer = compare("suite:a: lora.rank 4", "suite:other", "--json")
    assert answer.code == 1
    assert [row["group"] for row in json.loads(answer.out)["differences"]] == ["other"]


def test_curves_are_compared_at_the_budgets_that_both_have(write, refused, rows_of):
    def side(plus, budgets):
        return [
            record(seed=s, metrics={"mse": 9.0}, curve=curve({b: m / b + plus for b in budgets}))
            for s, m in MSE.items()
        ]

    write("old", side(0, (1, 2, 4)))
    write("new", side(1, (2, 4, 8)))
    rows = rows_of("old", "new")
    assert [(row["budget"], row["metric"]) for row in rows] == [(2, "mse"), (4, "mse")]
    assert [row["difference"] for row in rows] == pytest.approx([1, 1])
    write("fixed", side(0, (16,)))
    assert "arm: no budget in common with arm" in refused("old", "fixed")


def test_an_allocation_is_compared_with_a_curve_as_a_whole_and_its_tokens_are_told(write, compare):
    write("curve", [record(metrics={"mse": 0.02}, curve=curve({4: 0.02}))])
    write("policy", [record("p", metrics={"mse": 0.01, "mean_tokens": 3.0}, policy=[2, 4])])
    answer = compare("curve", "policy", "--json")
    (row,) = json.loads(answer.out)["differences"]
    assert (row["budget"], row["a"], row["b"]) == (None, 0.02, 0.01)
    assert json.loads(answer.out)["notes"] == ["p: not at equal mean tokens: A spends 4.00, B 3.00"]


def test_the_default_metrics_are_those_that_both_have(write, rows_of):
    values = {"mse": 0.1, "psnr": 20.0, "perceptual": 1.0, "fd_lite0": 5.0, "ssim": 0.5}
    write("old", [record(metrics=values | {"rfid": 3.0})])
    write("new", [record(metrics=values)])
    rows = rows_of("old", "new")
    assert [row["metric"] for row in rows] == ["mse", "perceptual", "fd_lite0", "ssim"]
    write("newer", [record(metrics=values | {"rfid": 3.0})])
    rows = rows_of("old", "newer")
    assert [row["metric"] for row in rows] == ["mse", "perceptual", "rfid", "ssim"]
    rows = rows_of("old", "newer", "--metric", "fd_lite0", "--metric", "psnr")
    assert [row["metric"] for row in rows] == ["fd_lite0", "psnr"]


def test_skills_of_other_candidates_are_not_compared_and_collapse_counts_as_none(
    write, refused, rows_of
):
    def side(candidates, skill, collapsed):
        metrics = {"mse": 0.1, "allocation_skill": skill, "collapsed": collapsed}
        return [record(seed=s, metrics=metrics, policy=candidates) for s in range(2)]

    write("old", side([2, 4], 0.5, False))
    write("new", side([2, 4], None, True))
    write("other", side([2, 8], 0.5, False))
    skill = rows_of("old", "new")[1]
    assert (skill["metric"], skill["b"], skill["verdict"]) == ("allocation_skill", 0.0, "worse")
    assert [row["metric"] for row in rows_of("old", "other")] == ["mse"]
    line = refused("old", "other", "--metric", "allocation_skill")
    assert "skill is relative to the oracle of the candidates" in line


def test_seeds_that_never_meet_are_said(write, rows_of):
    write("old", [record(seed=0, metrics={"mse": 0.1})])
    write("new", [record(seed=1, metrics={"mse": 0.2})])
    (row,) = rows_of("old", "new")
    assert row["verdict"] == "no training.seed in common"


def test_a_suites_file_names_it_and_means_its_present_cells(write, compare, tiny, write_suite):
    path = write_suite(tiny)
    present = [cell.key for cell in load_suite(path).cells]
    write("old", arm("arm"))
    write("tiny", [record("arm", metrics={"mse": 0.1}, cell_key=present[0]), *arm("lost")])
    answer = compare("old", path)
    assert answer.code == 0
    assert f"left out: {len(MSE)} records of cells that the suite no longer has" in answer.err
    assert "lost" not in answer.out


def test_cells_without_a_result_are_listed(write, compare):
    lost = record(seed=3, status="failed", error="tokenizer: diverged")
    write("old", arm("arm"))
    write("new", [*arm("arm"), lost])
    answer = compare("old", "new")
    assert answer.code == 0
    assert "failed in new: arm, seed 3: tokenizer: diverged" in answer.out


def test_comparing_changes_no_record(write, compare, store):
    write("old", arm("arm"))
    write("newer", arm("arm", schema_version=SCHEMA_VERSION + 1))
    files = {path: path.read_text() for path in store.rglob("*.json")}
    compare("old", "newer")
    compare("old", "old")
    assert {path: path.read_text() for path in store.rglob("*") if path.is_file()} == files
