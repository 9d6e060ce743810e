import math

from bench.statistics.intervals import holm, paired_difference
from reports.figures.ablation_bars import ablation_data
from reports.tables.ablations import table
from reports.tables.table import NOT_MEASURED


def test_differences_are_paired_by_seed_over_common_lengths(two_arms):
    (row,) = table(two_arms).rows
    psnr = row.values["psnr"]

    def mean(record):
        return sum(each.value("psnr") for each in record.curve) / 4

    expected = paired_difference(
        {seed: mean(two_arms[3 + seed]) for seed in range(3)},
        {seed: mean(two_arms[seed]) for seed in range(3)},
    )
    assert psnr.interval.mean == expected.mean
    assert (psnr.text[0], psnr.verdict) == ("+", "better")
    assert row.values["mse"].verdict == "better"
    assert row.values["mse"].number < 0
    assert row.values["against"].text == "none"
    assert len(row.cells) == 6


def test_p_is_corrected_over_the_systems_of_a_metric_as_in_the_figure(two_arms, tokenizer):
    third = [
        tokenizer("third", psnr=tuple(18.1 + 0.04 * seed**2 + step for step in range(4)), seed=seed,
                  reference_arm="none")
        for seed in range(3)
    ]  # fmt: skip
    rows = table([*two_arms, *third]).rows
    raw = [row.values["psnr"].interval.p for row in rows]
    assert [row.values["psnr"].more["p_holm"] for row in rows] == holm(raw) != raw
    drawn = ablation_data([*two_arms, *third], "none")
    drawn = drawn[(drawn["metric"] == "psnr") & (drawn["kind"] == "mean")]
    assert list(drawn["p_holm"]) == [row.values["psnr"].more["p_holm"] for row in rows]
    assert list(drawn["difference"]) == [row.values["psnr"].number for row in rows]


def test_one_training_each_gives_no_verdict(tokenizer):
    records = [tokenizer("none", reference_arm="none"),
               tokenizer("heads", psnr=(1.0,) * 4, reference_arm="none")]  # fmt: skip
    (row,) = table(records).rows
    assert (row.values["psnr"].verdict, row.values["remark"].text) == (
        "",
        "one training each: no interval",
    )


def test_a_metric_that_one_side_lacks_is_not_measured(two_arms, vary):
    two_arms[4] = vary(two_arms[4], without=["perceptual"])
    (row,) = table(two_arms).rows
    assert row.values["perceptual"].text == NOT_MEASURED
    assert not math.isnan(row.values["psnr"].number)


def test_policies_are_compared_by_their_own_metrics(policy):
    records = [
        policy(arm, skill=skill + 0.01 * seed, seed=seed, reference_arm="plain")
        for arm, skill in (("plain", 0.2), ("good", 0.6))
        for seed in range(3)
    ]
    (row,) = table(records).rows
    assert abs(row.values["allocation_skill"].number - 0.4) < 1e-9
    assert row.values["mean_tokens"].verdict == ""


def test_arms_without_a_result_or_counterpart_say_so(tokenizer, failed, two_arms):
    found = table([*two_arms, failed(tokenizer("lost", reference_arm="none"))])
    assert found.rows[-1].status == "failed"
    assert found.rows[-1].values["remark"].text.startswith("failed: tokenizer: DivergedError")


def test_why_there_is_no_table(tokenizer, failed, two_arms):
    (note,) = table([tokenizer()]).notes
    assert note == "Not made: the suite names no reference_arm."
    lost = [failed(record) for record in two_arms[:3]]
    assert "arm 'none' has no result" in table([*lost, *two_arms[3:]]).notes[0]
    assert "no other arm" in table(two_arms[:3]).notes[0]
