import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.statistics.power import minimum_detectable_effect, seeds_needed
from reports.analysis.contests import contests
from reports.analysis.price import parts, verdict_words
from reports.analysis.settling import control_rows, differences, seed_rows
from reports.figures.settle import report, settle_data

WHERE = {"policy.weighting.kind": "constraint"}
REFERENCE = {"mean_budget_of": "policy", "where": WHERE, "same": ["training.seed"]}
CONSTRAINT = {"kind": "constraint", "mean_budget": 6}


@pytest.fixture
def settled(tokenizer, policy, vary):
    """`settled(adaptive, fixed, ...)`: a suite's records, one distortion per training seed."""

    def settled(adaptive, fixed, *, tokens=None, lengths=None, perceptual=(1.0, 1.1)):
        tokens = tokens or [6.0] * len(adaptive)
        lengths = lengths or [round(t) for t in tokens]
        records = []
        for seed, (mse, other) in enumerate(zip(adaptive, fixed, strict=True)):
            records.append(tokenizer("elastic", seed=seed))
            one = policy(
                "policy", training_seed=seed, mse=mse, tokens=tokens[seed], weighting=CONSTRAINT
            )
            metrics = {"perceptual": perceptual[0], "fd_lite0": 1800.0 + seed}
            controls = {
                "fixed": control(tokens[seed], 1.3 * mse, 0.0),
                "agnostic": control(tokens[seed], 1.2 * mse, 0.0),
                "shuffled": control(tokens[seed], 1.4 * mse, -0.5),
                "oracle": control(tokens[seed], 0.9 * mse, 1.0),
                "png_size": control(tokens[seed], 1.1 * mse, 0.2),
            }
            records.append(vary(one, metrics=metrics, controls=controls))
            length = tokenizer("fixed", psnr=(20.0,), seed=seed, budgets=(lengths[seed],))
            metrics = {"mse": other, "perceptual": perceptual[1], "fd_lite0": 1700.0}
            metrics["mean_tokens"] = float(lengths[seed])
            settings = {"tokenizer.budgets": [lengths[seed]]}
            records.append(vary(length, metrics=metrics, settings=settings, length_from=REFERENCE))
        return records

    return settled


def control(tokens, mse, skill):
    return {
        "mean_tokens": tokens,
        "mse": mse,
        "perceptual": 2 * mse,
        "fd_lite0": 1e5 * mse,
        "allocation_skill": skill,
    }


BETTER = ([0.0100, 0.0110, 0.0105, 0.0102, 0.0108], [0.0120, 0.0131, 0.0125, 0.0121, 0.0128])
EQUAL = ([0.0120, 0.0110, 0.0125, 0.0102, 0.0108], [0.0118, 0.0113, 0.0121, 0.0104, 0.0107])


@pytest.mark.parametrize(
    ("adaptive", "fixed", "words"),
    [
        (*BETTER, "adaptive better"),
        (*BETTER[::-1], "fixed better"),
        (*EQUAL, "not distinguishable at this n"),
    ],
)
def test_the_verdict_rests_on_the_distortion(settled, tmp_path, adaptive, fixed, words):
    text = report(settled(adaptive, fixed), tmp_path).text
    assert f"Verdict (distortion, declared primary): {words}." in text
    assert "n = 5 training seeds" in text


def test_differences_are_paired_by_seed_and_corrected_over_the_metrics(settled):
    adaptive, fixed = map(np.array, BETTER)
    (contest,) = contests(settled(*BETTER))
    as_run, _ = differences(contest)
    mse, perceptual, fd = as_run.values()
    expected = stats.ttest_rel(adaptive, fixed)
    low, high = expected.confidence_interval()
    assert [mse.interval.low, mse.interval.high] == pytest.approx([low, high])
    assert mse.share.low == pytest.approx(low / fixed.mean())
    assert mse.shares[1] == pytest.approx((0.0110 - 0.0131) / fixed.mean())
    # Smallest p of three, and largest: constant differences have p = 0.
    assert perceptual.p == 0
    assert perceptual.interval.mean == pytest.approx(-0.1)
    raw = stats.ttest_rel(1800.0 + np.arange(5), np.full(5, 1700.0)).pvalue
    assert sorted([mse.p, fd.p]) == pytest.approx(
        [2 * min(expected.pvalue, raw), max(2 * min(expected.pvalue, raw), expected.pvalue, raw)]
    )
    assert (verdict_words(mse), verdict_words(fd)) == ("adaptive better", "fixed better")


def test_tokens_are_made_equal_along_the_curve_of_the_same_tokenizer(settled, tmp_path):
    (contest,) = contests(settled(*BETTER, tokens=[5.6, 6.4, 6.0, 5.8, 6.2]))
    curve = 10 ** (-np.array([18.0, 19.0, 20.0, 21.0]) / 10)  # at 2, 4, 8, 16 tokens, convex
    slope = (curve[2] - curve[1]) / 4
    equal = contest.equal_tokens("mse").values("mse")
    expected = [
        mse + slope * (6 - t) for mse, t in zip(BETTER[0], [5.6, 6.4, 6, 5.8, 6.2], strict=True)
    ]
    assert list(equal.values()) == pytest.approx(expected)
    assert equal[0] < BETTER[0][0]
    as_run, moved = differences(contest)
    assert moved["mse"].interval.mean != as_run["mse"].interval.mean


def test_curves_that_do_not_cover_the_tokens_leave_them_unequal(settled, tokenizer, tmp_path):
    records = [r for r in settled(*BETTER) if r.arm != "elastic"]
    (contest,) = contests(records)
    assert contest.equal_tokens("mse").metrics == {}
    text = report(records, tmp_path).text
    assert "At exactly equal tokens: not known" in text
    # Of lengths that were never trained no mixture is made.
    untrained = [tokenizer("elastic", seed=s, untrained=(2, 4)) for s in range(5)]
    (contest,) = contests([*records, *untrained])
    assert contest.equal_tokens("mse").metrics == {}


def test_lengths_are_those_of_each_seed(settled):
    (contest,) = contests(settled(*BETTER, tokens=[5.6, 6.4, 6.0, 4.8, 7.2]))
    assert contest.lengths == {0: 6, 1: 6, 2: 6, 3: 5, 4: 7}
    rows = seed_rows(contest, differences(contest)[0])
    assert [row["fixed tokens"] for row in rows] == [6, 6, 6, 5, 7]
    assert [row["adaptive tokens"] for row in rows] == [5.6, 6.4, 6.0, 4.8, 7.2]
    assert rows[0]["distortion (MSE)"] == "-16.00 %"


def test_the_parts_multiply_to_the_whole_and_are_told(settled, tmp_path):
    (contest,) = contests(settled(*EQUAL))
    of = parts(contest)
    net = np.exp(np.mean(np.log(EQUAL[0]) - np.log(EQUAL[1]))) - 1
    assert of.net.share.mean == pytest.approx(net)
    assert (1 + of.price.share.mean) * (1 + of.gain.share.mean) == pytest.approx(1 + net)
    assert (of.gain.share.mean, of.possible.share.mean) == pytest.approx((1 / 1.2 - 1, 0.75 - 1))
    text = report(settled(*EQUAL), tmp_path).text
    assert f"being elastic {100 * of.price.share.mean:+.1f} % [" in text
    assert "choosing by image -16.7 % [-16.7, -16.7], of -25.0 %" in text


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1.5, "no allocation of this elastic tokenizer can win"),
        (1.0, "choosing by image can beat it"),
    ],
)
def test_whether_the_oracle_could_close_the_gap(settled, tmp_path, factor, words):
    adaptive = [factor * mse for mse in BETTER[1]]
    assert words in report(settled(adaptive, BETTER[1]), tmp_path).text


def test_what_the_seeds_could_have_seen(settled, tmp_path):
    text = report(settled(*EQUAL), tmp_path).text
    shares = (np.array(EQUAL[0]) - np.array(EQUAL[1])) / np.mean(EQUAL[1])
    deviation = shares.std(ddof=1)
    least = minimum_detectable_effect(deviation, 5)
    assert f"5 seeds find a true difference of {100 * least:.1f} %" in text
    needed = seeds_needed(shares.mean(), deviation)
    assert f"the one seen takes {needed} training seeds" in text


def test_the_table_of_controls_and_other_allocations(settled, policy, vary):
    records = settled(*BETTER)
    for seed in range(5):
        other = policy("supervised", training_seed=seed, mse=0.0115, tokens=6.1)
        settings = {"policy.objective": {"kind": "supervised", "centred": True}}
        records.append(vary(other, settings=settings, controls={}))
    elsewhere = policy("elsewhere", training_seed=9)
    (contest,) = contests([*records, elsewhere])
    rows = {row["system"]: row for row in control_rows(contest)}
    assert list(rows) == [
        *("trained for that length", "policy", "fixed budget", "agnostic mixture"),
        *("shuffled over the images", "oracle", "PNG size", "supervised, centred"),
    ]
    assert rows["oracle"]["skill"] == "1.00 [1.00, 1.00]"
    assert rows["supervised, centred"]["tokens"] == "6.10 [6.10, 6.10]"
    assert rows["policy"]["MSE against fixed length"].startswith("-16.0 % [")
    assert rows["trained for that length"]["MSE against fixed length"] == "-"
    assert rows["PNG size"]["distortion (MSE)"].startswith("0.01155 [")


def test_one_seed_has_no_interval_and_no_verdict(settled, tmp_path):
    made = report(settled([0.0100], [0.0120]), tmp_path)
    assert "One training seed (-16.7 % (one seed) distortion): no interval and no verdict" in (
        made.text
    )
    assert "Verdict" not in made.text
    assert "one seed: no verdict" in made.text
    assert "nan" not in made.text


def test_failed_cells_are_told_and_their_seed_is_left_out(settled, failed, tmp_path):
    records = settled(*BETTER)
    position = [r.cell_key for r in records].index("fixed training.seed 3")
    records[position] = failed(records[position])
    text = report(records, tmp_path).text
    assert "4 of 5 training seeds with both sides" in text
    assert "left out, since one side has no result: seed 3" in text
    assert "failed: fixed: training.seed 3: tokenizer: DivergedError" in text
    assert "n = 4 training seeds" in text


def test_without_a_pair_there_is_nothing_to_settle(settled, failed, tmp_path):
    records = settled(*BETTER)
    records = [failed(r) if r.arm == "fixed" else r for r in records]
    made = report(records, tmp_path)
    assert made.files == []
    assert made.text.startswith("Settling: no policy and no tokenizer of its mean length")
    assert made.text.count("failed: fixed") == 5


def test_a_metric_that_one_side_lacks_is_no_member_of_the_family(settled, vary, tmp_path):
    records = [
        vary(record, without=("perceptual",) if record.arm == "fixed" else ())
        for record in settled(*BETTER)
    ]
    (contest,) = contests(records)
    by_metric, _ = differences(contest)
    assert by_metric["perceptual"].interval is None
    assert verdict_words(by_metric["perceptual"]) == "no value of both"
    # The other metric's p is the smaller one of two.
    assert by_metric["mse"].p == pytest.approx(stats.ttest_rel(*BETTER).pvalue)
    assert "after Holm over 2 metrics" in report(records, tmp_path).text


def test_rfid_stands_before_what_stands_in_for_it(settled, vary):
    records = [
        vary(record, metrics={"rfid": 20.0 + record.config.training.seed, "fd_lite1": 9})
        for record in settled(*BETTER)
    ]
    (contest,) = contests(records)
    assert list(differences(contest)[0]) == ["mse", "perceptual", "rfid", "fd_lite1"]


def test_a_collapsed_policy_is_told_and_has_skill_0(settled, vary, tmp_path):
    records = settled(*BETTER)
    for place, record in enumerate(records):
        if record.arm == "policy" and record.config.training.seed == 2:
            metrics = {"collapsed": True, "allocation_skill": None}
            records[place] = vary(record, metrics=metrics)
    text = report(records, tmp_path).text
    assert "collapsed to one budget for all images, skill 0: seed 2" in text
    (contest,) = contests(records)
    assert contest.adaptive.values("allocation_skill")[2] == 0


def test_only_the_cells_that_the_length_comes_from_are_the_adaptive_side(settled, policy):
    records = settled(*BETTER)
    other = policy("policy", training_seed=0, mse=9.0, tokens=3.0)  # of another weighting
    (contest,) = contests([*records, other])
    assert contest.adaptive.values("mse")[0] == 0.0100
    assert [group.records[0].metrics.value("mse") for group in contest.others] == [9.0]


def test_several_arms_of_fixed_lengths_are_several_contests(settled, vary, tmp_path):
    records = settled(*BETTER)
    again = [vary(r, arm="wide", group="wide", cell_key=f"wide {r.cell_key}")
             for r in records if r.arm == "fixed"]  # fmt: skip
    made = report([*records, *again], tmp_path)
    assert made.text.count("Verdict (") == 2
    assert list(pd.read_csv(tmp_path / "settle.csv")["contest"].unique()) == [
        *("policy against fixed", "policy against wide")
    ]


def test_what_is_drawn(settled):
    found = contests(settled(*BETTER))
    data = settle_data(found)
    mse = data[data["metric"] == "mse"]
    assert list(mse["system"].unique()) == [
        *("policy, as run", "policy, tokens made equal", "agnostic mixture", "oracle")
    ]
    run = mse[mse["system"] == "policy, as run"]
    assert (run["kind"] == "seed").sum() == 5
    (mean,) = run[run["kind"] == "mean"].itertuples()
    assert mean.low < mean.percent < mean.high < 0
    assert mean.n == 5
    assert json.dumps(list(data.columns))


def test_files_are_written(settled, tmp_path):
    made = report(settled(*BETTER), tmp_path)
    names = [*(f"settle.{kind}" for kind in ("png", "pdf", "csv")), "settle_controls.csv"]
    assert [path.name for path in made.files] == [*names, "settle.txt"]
    assert (tmp_path / "settle.txt").read_text() == made.text
    table = pd.read_csv(tmp_path / "settle_controls.csv")
    assert set(table["metric"]) == {"mean_tokens", "mse", "perceptual", "fd_lite0",
                                    "allocation_skill"}  # fmt: skip
